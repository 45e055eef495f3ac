#!/usr/bin/env python3
"""The live table of all instances: the daemon's processor time while nobody, one and several read it.

So many instances of the C application run. First nothing happens to them, then requests come to all of them in turn, then some are
restarted all the time. Each time so many WebSockets follow `GET /api/overview?follow=true`; one process drains them all, and takes
apart what the first one gets. Printed: processor time of the daemon in a second of its life, of its control plane alone, where the
table is kept and told, and of all of it, with the proxy that passes the bytes on; rows and bytes that the first reader got in a
second; and with restarts how long after the daemon noted a change that one had it."""

import argparse
import base64
import json
import os
import selectors
import socket
import subprocess
import threading
import time

from api import admin, token
from common import ROOT, Workshop

CONFIG = """
[service.app]
command = "%s"
max_instances = 20000
autostart = %s
[instances]
app = %s
"""


class Reader:
    """A WebSocket that follows."""

    def __init__(self, port, secret):
        self.socket = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            "GET /api/overview?follow=true HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise SystemExit(head.decode())
        self.socket.setblocking(False)
        self.rest = b""

    def messages(self, data):
        """Those that are complete; frames of a server have no mask."""
        self.rest += data
        while len(self.rest) >= 2:
            length, at = self.rest[1], 2
            if length >= 126:
                at = 4 if length == 126 else 10
                length = int.from_bytes(self.rest[2:at], "big")
            if len(self.rest) < max(at, 2) + length:
                return
            opcode, payload = self.rest[0] & 15, self.rest[at : at + length]
            self.rest = self.rest[at + length :]
            if opcode == 1:
                yield json.loads(payload)


class Count:
    """What the first reader was told."""

    def __init__(self):
        self.rows = self.bytes = self.changes = 0
        self.late, self.since = [], {}

    def add(self, message):
        now = time.time() * 1e3
        if message["type"] != "changes":
            return
        self.changes += 1
        self.rows += len(message["instances"])
        for row in message["instances"]:
            if self.since.get(row["instance"]) not in (None, row["since"]):
                self.late.append(now - row["since"])
            self.since[row["instance"]] = row["since"]


def drain(readers, seconds):
    ready, count, buffer = selectors.DefaultSelector(), Count(), bytearray(1 << 18)
    for index, reader in enumerate(readers):
        ready.register(reader.socket, selectors.EVENT_READ, index)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in ready.select(left):
            got = key.fileobj.recv_into(buffer)
            if not got:
                raise SystemExit("a reader was turned away")
            if key.data == 0:
                count.bytes += got
                for message in readers[0].messages(bytes(buffer[:got])):
                    count.add(message)
    ready.close()
    return count


def spent(pid):
    """Processor time in seconds of each thread, and whether it is of the control plane; as the scheduler counts it, as ticks are too
    coarse."""
    threads = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as counted, open(f"/proc/{pid}/task/{thread}/comm") as name:
                # The table's task is on the first thread, and looks at the machine on those of the runtime.
                control = int(thread) == pid or name.read().strip() == "tokio-rt-worker"
                threads[thread] = (control, int(counted.read().split()[0]) / 1e9)
        except FileNotFoundError:  # it ended meanwhile
            continue
    return threads


def since(before, now, took):
    """Percent of a core of the control plane, and of all; without what threads did that have ended."""
    did = [(control, spent - before.get(thread, (control, 0))[1]) for thread, (control, spent) in now.items()]
    return [sum(spent for control, spent in did if control or everything) / took * 100 for everything in (False, True)]


def measure(daemon, port, secret, count, seconds):
    readers = [Reader(port, secret) for _ in range(count)]
    drain(readers, 3) if readers else time.sleep(3)
    before, begun = spent(daemon), time.monotonic()
    told = drain(readers, seconds) if readers else (time.sleep(seconds), Count())[1]
    took = time.monotonic() - begun
    shares = since(before, spent(daemon), took)
    for reader in readers:
        reader.socket.close()
    return shares, told, took


def round_of(what, daemon, options, secret):
    for count in options.readers:
        (control, whole), told, took = measure(daemon, options.port, secret, count, options.seconds)
        line = f"{what}, {count:>2} readers: control plane {control:.2f} %, all {whole:.2f} % of a core"
        if count:
            line += f"; {told.rows / took:.1f} rows in {told.changes / took:.1f} messages/s, {told.bytes / took / 1e3:.1f} kB/s"
        late = sorted(told.late)
        if late:
            line += f"; statuses p50 {late[len(late) // 2]:.0f} ms, p95 {late[int(len(late) * .95)]:.0f} ms late"
        print(line, flush=True)


class Load(threading.Thread):
    """Does something so many times a second, in turn to all."""

    def __init__(self, act, rate):
        super().__init__(daemon=True)
        self.act, self.rate, self.over = act, rate, threading.Event()

    def run(self):
        begun = time.monotonic()
        for number in range(1 << 40):
            wait = begun + number / self.rate - time.monotonic()
            if self.over.wait(max(wait, 0)):
                return
            self.act(number)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.over.set()
        self.join()


def request(port, instances):
    kept = {}

    def act(number):
        # Connections are kept: what is measured is not the making of them.
        connection = kept.setdefault("one", None) or socket.create_connection(("127.0.0.1", port))
        kept["one"] = connection
        connection.sendall(f"GET / HTTP/1.1\r\nHost: i{number % instances}.app.localhost\r\n\r\n".encode())
        connection.recv(65536)

    return act


def restart(shop, options):
    connection = admin(shop, options.port)

    def act(number):
        connection.request("POST", f"/api/instances/app/i{number * 7 % options.instances}/restart")
        connection.getresponse().read()

    return act


def wait_until_up(shop, options):
    connection = admin(shop, options.port)
    wanted = "sleeping" if options.asleep else "running"
    while True:
        connection.request("GET", "/api/overview")
        up = json.loads(connection.getresponse().read())["machine"]["instances"][wanted]
        if up == options.instances:
            return
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ten", default=f"{ROOT}/target/release/ten", help="the binary to measure")
    parser.add_argument("--port", type=int, default=8950)
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--asleep", action="store_true", help="starts none of them, and leaves the rest out")
    parser.add_argument("--readers", type=int, nargs="*", default=[0, 1, 10])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--requests", type=float, default=150, help="a second, to all in turn; 0: leaves that out")
    parser.add_argument("--restarts", type=float, default=0, help="a second, of one after the other; 0: leaves that out")
    options = parser.parse_args()
    with Workshop() as shop:
        app = f"{shop.folder}/app"
        subprocess.run(["cc", "-O2", "-o", app, f"{ROOT}/bench/app.c"], check=True)
        names = [f"i{number}" for number in range(options.instances)]
        shop.serve(options.ten, CONFIG % (app, "false" if options.asleep else "true", json.dumps(names)), options.port)
        secret = token(admin(shop, options.port), scopes=["read"])
        wait_until_up(shop, options)
        with open(f"{shop.folder}/ten-{options.port}/data/daemon.lock") as lock:
            daemon = int(lock.read().split()[0])
        round_of(f"{options.instances} {'sleeping' if options.asleep else 'idle'} instances", daemon, options, secret)
        if options.asleep:
            return
        if options.requests:
            with Load(request(options.port, options.instances), options.requests):
                round_of(f"{options.requests:g} requests/s", daemon, options, secret)
        if options.restarts:
            with Load(restart(shop, options), options.restarts):
                round_of(f"{options.restarts:g} restarts/s", daemon, options, secret)


if __name__ == "__main__":
    main()
