#!/usr/bin/env python3
"""Cuts a machine's power while it takes in logs, again and again, and looks at what is left.

Each round the store is opened on what the last cut left and checked (crates/logs/examples/powercut.rs), then it is
written to at full speed, two streams of one instance; another instance is purged again and again. When so many lines
were reported packed as the dice say, or a moment later, the machine is gone. The disk had a cache: what it was not
told to flush is kept or lost as the dice say, write by write.

Exit codes: 0 nothing was wrong, 1 something was, 2 it could not be run."""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import threading
import time

from machine import Machine, initial, kernel, make_disk

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, "target/vm")
STREAMS = ["stdout", "stderr"]
# A machine that says nothing for so long hangs.
PATIENCE = 300


class Round:
    """What a machine said."""

    def __init__(self, safe):
        self.kept, self.bad, self.checked = {}, [], False
        self.gone = None
        # Of this round's own lines.
        self.safe = collections.Counter()
        self.purged = safe

    def hear(self, line):
        words = line.split()
        if words[:1] == ["kept"]:
            self.kept[int(words[1]), words[2]] = int(words[3])
        elif words[:1] == ["gone"]:
            self.gone = int(words[1])
        elif words[:1] == ["safe"]:
            self.safe[words[1]] = int(words[2])
        elif words[:1] == ["purged"]:
            self.purged = int(words[1])
        elif words == ["checked"]:
            self.checked = True
        elif "bad:" in line or "panic" in line or "EXT4-fs error" in line or "damaged" in line:
            self.bad.append(line)
        elif line:
            print(f"    {line}")


def run(machine, round, until):
    """Listens until the machine is to be cut off."""
    dog = threading.Timer(PATIENCE, machine.process.kill)
    dog.start()
    for line in machine.lines():
        round.hear(line)
        if round.checked and until(round):
            break
    dog.cancel()
    if machine.process.poll() is not None or not round.checked:
        round.bad.append("the machine ended by itself, or hung")


def compare(round, safe, purged):
    """What was promised and is not there."""
    for key, lines in safe.items():
        if round.kept.get(key, 0) < lines:
            yield f"of round {key[0]} {key[1]}: {lines} lines were safe, {round.kept.get(key, 0)} are there"
    if round.gone is not None and round.gone <= purged:
        yield f"line {round.gone} of the purged instance is there again, all up to {purged} were erased"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--program", default=f"{ROOT}/target/release/examples/powercut")
    parser.add_argument("--keep", action="store_true", help="leave the disk for a person to look at")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    dice = random.Random(options.seed)
    os.makedirs(CACHE, exist_ok=True)
    image, modules = kernel(CACHE)
    files = initial({"program": options.program}, modules)
    folder = tempfile.mkdtemp(prefix="powercut-", dir=CACHE)
    safe, purged, failed = {}, -1, False
    try:
        make_disk(folder)
        for number in range(options.rounds + 1):
            # The kernel writes back early or late.
            expire = dice.choice([20, 100, 3000])
            settings = {"round": number, "commit": dice.choice([1, 5]), "expire": expire, "writeback": min(expire, 500)}
            machine = Machine(folder, image, files, settings)
            round = Round(purged)
            wanted, moment = dice.choice([1, 500, 20000, 120000]) * dice.random(), dice.choice([0, 0.3, 4]) * dice.random()
            is_last = number == options.rounds
            run(machine, round, lambda round: is_last or sum(round.safe.values()) >= wanted)
            if not is_last:
                time.sleep(moment)
            rest, unflushed, stayed = machine.cut(dice, dice.choice([0, 0.5, 0.9, 1]))
            # What it had said when it was cut off; the last line may not be whole.
            for line in rest.splitlines()[:-1]:
                round.hear(line)
            for bad in [*round.bad, *compare(round, safe, purged)]:
                failed = True
                print(f"BAD {bad}")
            if number:
                report = [f"{stream} safe {safe[number - 1, stream]}, kept {round.kept.get((number - 1, stream), 0)}" for stream in STREAMS]
                print(f"round {number}: {'; '.join(report)}; all {sum(round.kept.values())}")
            safe.update({(number, stream): round.safe[stream] for stream in STREAMS})
            purged = round.purged
            # What was kept once is kept.
            safe.update(round.kept)
            if not is_last:
                print(f"  cut off, {settings}: {stayed} of {unflushed} writes that were not flushed stay")
            if failed:
                break
    finally:
        if options.keep:
            print(f"the disk is in {folder}")
        else:
            shutil.rmtree(folder)
    sys.exit(failed)


if __name__ == "__main__":
    main()
