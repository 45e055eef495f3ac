#!/usr/bin/env python3
"""Cuts a machine's power while the daemon in it is told one thing after another, and looks at what is left.

Each round `ten serve` starts on the disk that the last cut left. Every token that was acknowledged is there, every one
that was revoked is not; every instance is up, stopped or forgotten as was acknowledged last; the databases are intact.
Then the daemon is killed, alone and with its keeper, and takes on every instance, by its cgroup (tests/vm/client.sh). What
the disk had not been told to flush is kept or lost as the dice say.

Exit codes: 0 nothing was wrong, 1 something was, 2 it could not be run."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from machine import Machine, initial, kernel, make_disk

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, "target/vm")
# A machine that says nothing of note for so long hangs.
PATIENCE = 300
CONFIG = """[settings]
listen = "127.0.0.1:8000"
[service.app]
command = "/bin/busybox httpd -f -p 127.0.0.1:{port}"
startup_timeout = 120
"""
# What a thing is after that was done to it.
AFTER = {"token": "there", "revoke": "gone", "spawn": "up", "stop": "stopped", "delete": "gone"}


class Model:
    """What was acknowledged. `either`: it was begun when the power was cut."""

    def __init__(self):
        self.things = {}

    def begin(self, name):
        self.things[name] = "either"

    def did(self, what, name):
        self.things[name] = AFTER[what]

    def compare(self, tokens, instances):
        """What was promised and is not so. What is so is from now on what is promised."""
        for name, wanted in self.things.items():
            if ":" in name:
                status = instances.get(name)
                found = "gone" if status is None else "stopped" if status == "stopped" else "up"
            else:
                found = "there" if name in tokens else "gone"
            if wanted not in (found, "either"):
                yield f"{name} was {wanted}, and now it is {found}"
            self.things[name] = found


class Round:
    """What a machine said."""

    def __init__(self, model):
        self.model, self.bad, self.said = model, [], []
        self.tokens, self.instances = set(), {}
        self.listed = self.checked = False
        self.acknowledged = 0

    def hear(self, line):
        words = line.split()
        match words:
            case ["token", name]:
                self.tokens.add(name)
            case ["instance", name, status]:
                self.instances[name] = status
            case ["listed"]:
                self.listed = True
                self.bad += self.model.compare(self.tokens, self.instances)
            case ["begin", _, name]:
                self.model.begin(name)
            case ["did", what, name]:
                self.model.did(what, name)
                self.acknowledged += 1
            case ["checked"]:
                self.checked = True
            case ["adopted", *_] | ["intact", _]:
                self.said.append(line)
            case _ if "bad:" in line or "panic" in line or "EXT4-fs error" in line:
                self.bad.append(line)
            case []:
                pass
            case _:
                print(f"    {line}")


def run(machine, round, enough):
    """Listens until the machine is to be cut off."""
    dog = threading.Timer(PATIENCE, machine.process.kill)
    dog.start()
    for line in machine.lines():
        round.hear(line)
        if round.checked and round.acknowledged >= enough:
            break
    dog.cancel()
    if machine.process.poll() is not None or not round.checked:
        round.bad.append("the machine ended by itself, or hung")


def stripped(program, folder):
    path = os.path.join(folder, "ten")
    subprocess.run(["strip", "-s", "-o", path, program], check=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--program", default=f"{ROOT}/target/release/ten")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    dice = random.Random(options.seed)
    os.makedirs(CACHE, exist_ok=True)
    image, modules = kernel(CACHE)
    folder = tempfile.mkdtemp(prefix="daemoncut-", dir=CACHE)
    model, failed = Model(), False
    try:
        programs = {"program": stripped(options.program, folder), "sqlite3": shutil.which("sqlite3")}
        with open(f"{HERE}/client.sh") as client:
            scripts = {"bin/client": client.read(), "tenement.toml": CONFIG}
        files = initial(programs, modules, scripts, first="client")
        make_disk(folder)
        for number in range(options.rounds + 1):
            expire = dice.choice([20, 100, 3000])
            settings = {"round": number, "commit": dice.choice([1, 5]), "expire": expire, "writeback": min(expire, 500)}
            machine = Machine(folder, image, files, settings)
            round = Round(model)
            is_last = number == options.rounds
            run(machine, round, 0 if is_last else dice.randrange(1, 60))
            if not is_last:
                time.sleep(dice.random())
            rest, unflushed, stayed = machine.cut(dice, dice.choice([0, 0.5, 0.9, 1]))
            # What it had said when it was cut off; the last line may not be whole.
            for line in rest.splitlines()[:-1]:
                round.hear(line.strip())
            print(f"round {number}: {len(round.tokens)} tokens and {len(round.instances)} instances found; {'; '.join(round.said)}")
            if not is_last:
                print(f"  {round.acknowledged} changes acknowledged, then cut off: {stayed} of {unflushed} writes that were not flushed stay")
            for bad in round.bad:
                failed = True
                print(f"BAD {bad}")
            if failed:
                break
    finally:
        shutil.rmtree(folder)
    if failed:
        return 1
    print(f"{options.rounds} cuts, nothing was wrong")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"daemoncut.py: {error}", file=sys.stderr)
        sys.exit(2)
