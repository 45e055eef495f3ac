#!/usr/bin/env python3
"""A daemon that is killed: how long nobody answers, and how long the next one takes to take on what runs.

First the daemon alone is killed, again and again, and its keeper starts another: the time from the kill to the answer of some instance
to a request on a new connection, while others connect all the time. Then keeper and daemon are killed and `ten serve` is started."""

import argparse
import json
import os
import random
import signal
import subprocess
import threading
import time

from common import ROOT, Workshop
from soak import QUIET, Place, Refused, Tally

CONFIG = """
[service.app]
command = "%s"
max_instances = 5000
[instances]
app = %s
"""


def prepared(shop, ten, count, port):
    """Keeper and place, with so many running."""
    app = f"{shop.folder}/app"
    subprocess.run(["cc", "-O2", "-o", app, f"{ROOT}/bench/app.c"], check=True)
    config = CONFIG % (app, json.dumps([f"i{number}" for number in range(count)]))
    keeper, place = shop.serve(ten, config, port), Place(f"{shop.folder}/ten-{port}", port, Tally())
    while len(running(place)) < count:
        time.sleep(0.5)
    return keeper, place, config


def running(place):
    _, answer = place.sure("GET", "/api/instances?limit=10000")
    return {one["instance"]: one["pid"] for one in answer["instances"] if one["status"] == "running"}


def first_answer(place, count):
    """Asks an instance on new connections until it answers."""
    while not place.get(f"app:i{random.randrange(count)}"):
        pass


def by_keeper(options):
    with Workshop() as shop:
        _, place, _ = prepared(shop, options.ten, options.instances, options.port)
        before, times = running(place), []

        def connect():
            try:
                while not place.done.is_set():
                    place.connect().close()
                    place.tally.add("connections")
                    time.sleep(0.001)
            except Refused:
                pass

        others = threading.Thread(target=connect, daemon=True)
        others.start()
        for _ in range(options.kills):
            time.sleep(QUIET)
            daemon, begun = place.daemon(), time.perf_counter()
            os.kill(daemon, signal.SIGKILL)
            # It is gone once its status was taken; what it had accepted ends.
            first_answer(place, options.instances)
            while place.daemon() == daemon:
                first_answer(place, options.instances)
            times.append((time.perf_counter() - begun) * 1e3)
        place.done.set()
        others.join()
        same = running(place) == before
        times.sort()
        at = lambda part: times[min(int(len(times) * part), len(times) - 1)]
        print(
            f"{options.instances} instances, the daemon killed {options.kills} times: kill to first answer p50 {at(.5):.0f} ms,"
            f" p95 {at(.95):.0f} ms, max {times[-1]:.0f} ms; of {place.tally.counts['connections']} connections"
            f" {place.tally.counts['connections refused']} refused; {'the same processes' if same else 'NOT the same processes'}"
        )


def by_hand(options):
    with Workshop() as shop:
        keeper, place, config = prepared(shop, options.ten, options.many, options.port)
        before, served, answered = running(place), [], []
        for _ in range(options.starts):
            daemon = os.pidfd_open(place.daemon())
            for kill in (lambda: keeper.kill(), lambda: signal.pidfd_send_signal(daemon, signal.SIGKILL)):
                kill()
            keeper.wait()
            while daemon_lives(place):
                time.sleep(0.001)
            os.close(daemon)
            begun = time.perf_counter()
            keeper = shop.serve(options.ten, config, options.port)
            served.append((time.perf_counter() - begun) * 1e3)
            first_answer(place, options.many)
            answered.append((time.perf_counter() - begun) * 1e3)
        after = running(place)
        same = sum(after.get(instance) == pid for instance, pid in before.items())
        print(
            f"{options.many} instances, keeper and daemon killed {options.starts} times: started to serving"
            f" {min(served):.0f} to {max(served):.0f} ms, to an instance's answer {min(answered):.0f} to {max(answered):.0f} ms;"
            f" {same} are the same processes"
        )


def daemon_lives(place):
    try:
        with open(f"/proc/{place.daemon()}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ten", default=f"{ROOT}/target/release/ten", help="the binary to measure")
    parser.add_argument("--port", type=int, default=8850)
    parser.add_argument("--instances", type=int, default=300, help="when the daemon alone is killed")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--many", type=int, default=1000, help="instances when keeper and daemon are killed")
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    if options.kills:
        by_keeper(options)
    if options.starts:
        by_hand(options)
