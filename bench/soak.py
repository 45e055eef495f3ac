#!/usr/bin/env python3
"""Kills the daemon at random moments under load, and keeps a ledger of what it acknowledged.

Instances are spawned, stopped, started, restarted, deleted and purged; tokens made and revoked; requests asked on new and on kept
connections; each request prints a numbered line. At the end all that was acknowledged must be so, each running instance must have one
process and no process must be of another, and each line must be there once and in order. Exit code 1 when something is lost.

The pause before the keeper starts a daemon grows with each that served for less than ten seconds; so kills come in bursts, with a
quiet time between them."""

import argparse
import collections
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from api import Local
from common import ROOT, Workshop

STANDING = [f"s{number}" for number in range(4)]
# How many instances one of those who make and delete them has at a time.
LIVING = 6
QUIET = 10.5
CUT = (http.client.HTTPException, ConnectionError, socket.timeout, ValueError)


class Refused(Exception):
    pass


class Tally:
    """What is counted, by several threads."""

    def __init__(self):
        self.lock, self.counts, self.faults = threading.Lock(), collections.Counter(), []
        self.times, self.printed = [], collections.defaultdict(dict)

    def add(self, what, by=1):
        with self.lock:
            self.counts[what] += by

    def fault(self, kind, words):
        with self.lock:
            self.counts[kind] += 1
            self.faults.append(f"{kind}: {words}")

    def said(self, instance, text):
        """An instance's answer: its process and the number of the line that it has printed."""
        pid, number = map(int, text.split())
        with self.lock:
            printed = self.printed[instance]
            printed[pid] = max(number, printed.get(pid, -1))
        return pid


class Place:
    """The daemon, as its clients see it."""

    def __init__(self, folder, port, tally):
        self.data, self.port, self.tally, self.done = f"{folder}/data", port, tally, threading.Event()

    def daemon(self):
        with open(f"{self.data}/daemon.lock") as lock:
            return int(lock.read().split()[0])

    def ask(self, method, path, body=None):
        """Status and answer over the local socket; `None` if it was cut."""
        connection = Local(f"{self.data}/admin.sock")
        connection.timeout = 60
        try:
            try:
                connection.connect()
            except OSError as error:
                self.tally.fault("connections refused", f"admin.sock: {error}")
                raise Refused from error
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        except CUT:
            self.tally.add("API calls cut")
            return None
        finally:
            connection.close()

    def sure(self, method, path, body=None):
        """The answer, asked again until it is one. For what only looks."""
        while True:
            if answer := self.ask(method, path, body):
                return answer

    def connect(self):
        try:
            return socket.create_connection(("127.0.0.1", self.port), timeout=60)
        except OSError as error:
            self.tally.fault("connections refused", f"port: {error}")
            raise Refused from error

    def get(self, instance, connection=None):
        """Body of an instance's answer; `None` if it was cut."""
        service, one = instance.split(":")
        kept = connection is not None
        connection = connection or self.connect()
        try:
            close = "" if kept else "Connection: close\r\n"
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {one}.{service}.localhost\r\n{close}\r\n".encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            text = answer.read().decode()
            if answer.status != 200:
                self.tally.add(f"answers {answer.status}")
                return None
            return text
        except CUT:
            self.tally.add("requests cut")
            return None
        finally:
            if not kept:
                connection.close()

    def view(self, instance):
        """An instance once nothing is under way; `None` if it is not known."""
        while True:
            status, view = self.sure("GET", "/api/instances/" + instance.replace(":", "/"))
            if status == 404:
                return None
            # One that never sleeps and seems to is about to be forgotten.
            if status == 200 and view["status"] in ("running", "stopped", "failed"):
                return view
            time.sleep(0.01)

    def status_for(self, token):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request("GET", "/api/instances?limit=1", headers={"Authorization": f"Bearer {token}"})
                return connection.getresponse().status
            except CUT:
                self.tally.add("API calls cut")
            finally:
                connection.close()


def churn(place, name, ledger, dice):
    """Makes instances and does things to them. The ledger has of each: is it up, stopped, gone or purged, and which process it is not."""
    made = 0
    while not place.done.is_set():
        living = [one for one, (state, _) in ledger.items() if state in ("up", "stopped")]
        if len(living) < 2 or (len(living) < LIVING and dice.random() < 0.4):
            one, made, deed, wanted = f"app:{name}{made}", made + 1, "spawn", "up"
            answer = place.ask("POST", "/api/instances", {"service": "app", "id": one.split(":")[1]})
            was = ("gone", None)
        else:
            one = dice.choice(living)
            was, path = ledger[one], "/api/instances/" + one.replace(":", "/")
            before = (place.view(one) or {}).get("pid")
            deed, wanted, method, path = dice.choice([
                ("restart", "up", "POST", path + "/restart"), ("stop", "stopped", "POST", path + "/stop"),
                ("start", "up", "POST", path + "/start"), ("delete", "gone", "DELETE", path),
                ("purge", "purged", "DELETE", path + "?purge=true"),
            ])
            answer = place.ask(method, path)
        good = answer is not None and answer[0] < 300
        place.tally.add("writes acknowledged" if good else "writes cut or refused")
        if good:
            ledger[one] = (wanted, before if deed == "restart" else None)
        view = place.view(one)
        state = {None: "gone", "running": "up"}.get(view and view["status"], view and view["status"])
        expected = "gone" if wanted == "purged" else wanted
        if good and (state != expected or (deed == "restart" and view["pid"] == before)):
            place.tally.fault("acknowledged writes lost", f"{deed} of {one}: {view}")
        if not good:
            # Whole or not at all: what it was, or what it was to be.
            if state not in (expected, was[0]) and answer is None:
                place.tally.fault("acknowledged writes lost", f"{deed} of {one}, {was[0]} before, was cut half way: {view}")
            ledger[one] = ("purged" if wanted == "purged" and state == "gone" else state, None)
        if ledger[one][0] == "purged":
            # One that was cut may have left something; it can be done again.
            place.sure("DELETE", "/api/instances/" + one.replace(":", "/") + "?purge=true")
        elif state == "up" and (text := place.get(one)):
            place.tally.said(one, text)


def tokens(place, ledger, dice):
    while not place.done.is_set():
        valid = [token for token, (_, state) in ledger.items() if state == "valid"]
        if len(valid) < 3 or dice.random() < 0.5:
            answer = place.ask("POST", "/api/tokens", {"scopes": ["read"]})
            if answer and answer[0] == 201:
                ledger[answer[1]["token"]] = (answer[1]["id"], "valid")
                place.tally.add("writes acknowledged")
        else:
            token = dice.choice(valid)
            answer = place.ask("DELETE", f"/api/tokens/{ledger[token][0]}")
            good = answer is not None and answer[0] < 300
            place.tally.add("writes acknowledged" if good else "writes cut or refused")
            ledger[token] = (ledger[token][0], "revoked" if good else "unknown")
        time.sleep(0.02)


def requests(place, dice, keeps):
    connection = None
    while not place.done.is_set():
        one = f"app:{dice.choice(STANDING)}"
        if keeps and connection is None:
            connection = place.connect()
        text = place.get(one, connection)
        if text:
            place.tally.add("requests answered")
            place.tally.said(one, text)
        elif connection:
            connection.close()
            connection = None
        time.sleep(0.003)


def kills(place, options, dice):
    """Kills until there were enough, and measures how long it takes until something is answered again."""
    end = time.monotonic() + options.seconds
    for number in range(options.kills):
        calm = number and number % options.burst == 0
        time.sleep(dice.uniform(QUIET, QUIET + 1) if calm else dice.uniform(0.05, 1.5))
        if time.monotonic() > end:
            return
        before = place.daemon()
        begun = time.perf_counter()
        os.kill(before, signal.SIGKILL)
        while not place.get(f"app:{STANDING[0]}") or place.daemon() == before:
            pass
        place.tally.times.append((time.perf_counter() - begun) * 1e3)
        place.tally.add("kills")
        if (number + 1) % 10 == 0:
            print(f"{number + 1} kills, {len(place.tally.faults)} faults", file=sys.stderr, flush=True)


def processes(data):
    """Pids by instance, of all whose data directory is here."""
    found, wanted = collections.defaultdict(list), f"DATA_DIR={os.path.realpath(data)}/".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(wanted):
                found[variable[len(wanted):].decode().replace("/", ":")].append(int(pid))
    return found


def check_instances(place, ledgers, standing):
    fault, running = place.tally.fault, {}
    for instance, pid in standing.items():
        view = place.view(instance)
        if not view or view.get("pid") != pid:
            fault("instances lost", f"{instance} was {pid}: {view}")
    for ledger in ledgers:
        for instance, (state, _) in ledger.items():
            view = place.view(instance)
            now = {"running": "up"}.get(view["status"], view["status"]) if view else "gone"
            if now != ("gone" if state == "purged" else state):
                fault("acknowledged writes lost", f"{instance} is {now}, not {state}")
            if state == "purged" and any(os.path.exists(f"{place.data}/{of}/{instance.split(':')[1]}") for of in ("app", "logs/app")):
                fault("acknowledged writes lost", f"{instance} was purged and has data")
    _, listed = place.sure("GET", "/api/instances?limit=1000")
    running = {one["instance"]: one["pid"] for one in listed["instances"] if one["status"] == "running"}
    found = processes(place.data)
    for instance, pids in found.items():
        if instance not in running:
            fault("instances orphaned", f"{instance}: {pids}")
        elif len(pids) > 1:
            fault("instances doubled", f"{instance}: {pids}")
    for instance, pid in running.items():
        if pid not in found.get(instance, []):
            fault("instances lost", f"{instance}: {pid} is not there")
        elif (text := place.get(instance)) and place.tally.said(instance, text) != pid:
            fault("instances doubled", f"{instance}: another process than {pid} answers")


def check_lines(place, purged):
    for instance, printed in place.tally.printed.items():
        if instance in purged:
            continue
        for _ in range(200):
            connection = Local(f"{place.data}/admin.sock")
            connection.request("GET", f"/api/logs/export?instance={instance}")
            lines = [json.loads(line)["message"].split(" line ") for line in connection.getresponse()]
            seen = collections.defaultdict(list)
            for pid, number in lines:
                seen[int(pid)].append(int(number))
            if all(seen[pid] and max(seen[pid]) >= number for pid, number in printed.items()):
                break
            time.sleep(0.05)
        for pid in seen.keys() | printed.keys():
            numbers = seen[pid]
            whole = max(numbers + [printed.get(pid, -1)]) + 1
            place.tally.add("log lines", len(numbers))
            if (lost := whole - len(set(numbers))):
                place.tally.fault("log lines lost", f"{instance}, process {pid}: {lost} of {whole}")
            if (doubled := len(numbers) - len(set(numbers))):
                place.tally.fault("log lines doubled", f"{instance}, process {pid}: {doubled}")
            if numbers != sorted(numbers):
                place.tally.fault("log lines in disorder", f"{instance}, process {pid}")


def check_tokens(place, ledger):
    for token, (_, state) in ledger.items():
        status = place.status_for(token)
        if (state, status) in (("valid", 401), ("revoked", 200)):
            place.tally.fault("acknowledged writes lost", f"a token that is {state} gets {status}")


def footprint(pid):
    """Descriptors, resident KiB, threads and dead children of a process."""
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.rstrip().split(":", 1) for line in file if ":" in line)
    dead = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            for child in file.read().split():
                try:
                    with open(f"/proc/{child}/stat") as stat:
                        dead += stat.read().rsplit(")", 1)[1].split()[0] == "Z"
                except OSError:
                    pass
    return len(os.listdir(f"/proc/{pid}/fd")), int(status["VmRSS"].split()[0]), int(status["Threads"]), dead


def report(tally, footprints):
    times = sorted(tally.times) or [0]
    for what in ("kills", "writes acknowledged", "writes cut or refused", "API calls cut", "requests answered", "requests cut", "log lines"):
        print(f"{what:<28}{tally.counts[what]:>10}")
    for what, count in sorted(tally.counts.items()):
        if what.startswith("answers "):
            print(f"{what:<28}{count:>10}")
    for what in (
        "instances lost", "instances doubled", "instances orphaned", "acknowledged writes lost", "log lines lost",
        "log lines doubled", "log lines in disorder", "connections refused", "descriptors leaked",
    ):
        print(f"{what:<28}{tally.counts[what]:>10}")
    at = lambda part: times[min(int(len(times) * part), len(times) - 1)]
    print(f"kill to first answer, ms:   p50 {at(.5):.0f}   p95 {at(.95):.0f}   max {times[-1]:.0f}   (the keeper's pauses included)")
    print(f"{'':<16}{'descriptors':>12}{'RSS, KiB':>12}{'threads':>10}{'zombies':>10}")
    for name, figures in footprints.items():
        print(f"{name:<16}{figures[0]:>12}{figures[1]:>12}{figures[2]:>10}{figures[3]:>10}")
    for fault in tally.faults[:50]:
        print(fault)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ten", default=f"{ROOT}/target/release/ten", help="the binary to kill")
    parser.add_argument("--port", type=int, default=8840)
    parser.add_argument("--seconds", type=float, default=600, help="no kill after that")
    parser.add_argument("--kills", type=int, default=10**6, help="no more than that")
    parser.add_argument("--burst", type=int, default=3, help="kills before a quiet time")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    tally = Tally()
    with Workshop() as shop:
        app = f"{shop.folder}/app"
        subprocess.run(["cc", "-O2", "-o", app, f"{ROOT}/bench/app.c"], check=True)
        keeper = shop.serve(options.ten, f"""
[settings]
backoff_base_ms = 50
[service.app]
command = "{app}"
[instances]
app = {json.dumps(STANDING)}
""", options.port)
        place = Place(f"{shop.folder}/ten-{options.port}", options.port, tally)
        standing = {f"app:{one}": place.view(f"app:{one}")["pid"] for one in STANDING}
        footprints = {"keeper, begin": footprint(keeper.pid), "daemon, begin": footprint(place.daemon())}
        ledgers, of_tokens = [{}, {}], {}
        dice = lambda number: random.Random(options.seed + number)
        jobs = [(churn, place, name, ledger, dice(number)) for number, (name, ledger) in enumerate(zip("ab", ledgers))]
        jobs += [(tokens, place, of_tokens, dice(2)), (requests, place, dice(3), False), (requests, place, dice(4), True)]
        workers = [threading.Thread(target=guarded, args=(tally, place.done, *job), daemon=True) for job in jobs]
        for worker in workers:
            worker.start()
        guarded(tally, place.done, kills, place, options, dice(5))
        place.done.set()
        for worker in workers:
            worker.join(120)
        if tally.counts["connections refused"]:
            print(*tally.faults, sep="\n")
            tell_log(shop)
            return 1
        check_instances(place, ledgers, standing)
        check_tokens(place, of_tokens)
        purged = {one for ledger in ledgers for one, (state, _) in ledger.items() if state == "purged"}
        check_lines(place, purged)
        for one in (one for ledger in ledgers for one in ledger):
            place.sure("DELETE", "/api/instances/" + one.replace(":", "/"))
        footprints |= {"keeper, end": footprint(keeper.pid), "daemon, end": footprint(place.daemon())}
        if (more := footprints["keeper, end"][0] - footprints["keeper, begin"][0]) > 0:
            tally.fault("descriptors leaked", f"{more} by the keeper")
        if processes(place.data).keys() != standing.keys():
            tally.fault("instances orphaned", f"after all were deleted: {dict(processes(place.data))}")
        if tally.faults:
            tell_log(shop)
    report(tally, footprints)
    return 1 if tally.faults or not tally.counts["kills"] else 0


def tell_log(shop):
    """The end of what the daemon said."""
    with open(shop.log) as log:
        print(log.read()[-8000:])


def guarded(tally, done, job, *arguments):
    """A job that fails is a fault, and the end of all."""
    try:
        job(*arguments)
    except Refused:
        done.set()
    except Exception as error:  # whatever it is, it is told
        tally.fault("workers failed", f"{job.__name__}: {error!r}")
        done.set()


if __name__ == "__main__":
    sys.exit(main())
