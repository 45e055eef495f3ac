#!/usr/bin/env python3
"""Logs: how fast they are taken in, what they take on the disk, and how long a search takes.

So many instances print the same kind of lines as fast as they can; beside them the same program prints into files. Then: seconds
until the apps had written, until a search found every line, the daemon's processor time for a million lines (with packing and
indexing), bytes on the disk for each byte written once all is packed, and milliseconds of searches over the whole, whose totals are
compared with those of grep over the files."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from api import Local
from common import ROOT, Workshop, cpu_seconds

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static unsigned long state;
static unsigned draw(unsigned n) { state = state * 6364136223846793005UL + 1442695040888963407UL; return (state >> 33) % n; }
static const char *words[] = {"request", "cache", "queue", "session", "invoice", "upload", "customer", "retry", "timeout", "upstream",
    "migration", "webhook", "checkout", "thumbnail", "ledger", "shipment", "coupon", "refund", "digest", "replica"};
int main(int count, char **arguments) {
    char line[256];
    state = atol(arguments[1]);
    long lines = atol(arguments[2]);
    for (long n = 0; n < lines; n++) {
        int length = n % 50000 == 77
            ? snprintf(line, sizeof line, "ERROR db: connection to the database refused after 3 attempts app=shop n=%07ld\n", n)
            : draw(6) == 0
            ? snprintf(line, sizeof line, "{\"level\":\"info\",\"msg\":\"%s done\",\"status\":%d,\"ms\":%u,\"trace\":\"%08x\",\"app\":\"shop\",\"n\":%ld}\n",
                words[draw(20) * draw(20) / 20], draw(20) ? 200 : 503, draw(900), draw(1u << 31), n)
            : snprintf(line, sizeof line, "%s GET /v1/orders/%u 200 %ums %s %s for user %u app=shop n=%07ld\n", draw(20) ? "INFO" : "WARN",
                draw(100000), draw(900), words[draw(20) * draw(20) / 20], words[draw(20)], draw(5000), n);
        if (write(1, line, length) != length) return 1;
    }
    if (count > 3) pause();
    return 0;
}
"""
# Found how often: in nearly no line, in many, both in one, a part of a word.
SEARCHES = ['"connection to the database refused"', "request", "timeout upstream", "equest"]


def seconds_into_files(shop, program, instances, lines):
    """The same program, several at once, printing into files."""
    files = [f"{shop.folder}/talk-{index}.txt" for index in range(instances)]
    begun = time.monotonic()
    writers = [subprocess.Popen([program, str(index + 1), str(lines)], stdout=open(file, "w")) for index, file in enumerate(files)]
    for writer in writers:
        writer.wait()
    return time.monotonic() - begun, files


def on_disk(folder):
    blocks = (os.lstat(os.path.join(base, file)).st_blocks for base, _, files in os.walk(folder) for file in files)
    return 512 * sum(blocks)


def search(connection, query, limit=20):
    connection.request("POST", "/api/logs/search", json.dumps({"query": query, "limit": limit}))
    answer = connection.getresponse()
    found = json.loads(answer.read())
    if answer.status != 200:
        raise SystemExit(found)
    return found["total"]


def really(query, files):
    """What grep finds."""
    words = [query.strip('"')] if query.startswith('"') else query.split()
    command = " | ".join([f"cat {' '.join(files)}"] + [f"grep -iF '{word}'" for word in words] + ["wc -l"])
    return int(subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ten", default=os.path.join(ROOT, "target/release/ten"))
    parser.add_argument("--instances", type=int, default=4)
    parser.add_argument("--lines", type=int, default=500_000, help="of each instance")
    parser.add_argument("--calls", type=int, default=30, help="of each search")
    options = parser.parse_args()
    total = options.instances * options.lines
    with Workshop() as shop:
        program = f"{shop.folder}/talk"
        subprocess.run(["cc", "-O2", "-x", "c", "-o", program, "-"], input=PROGRAM, text=True, check=True)
        plain, files = seconds_into_files(shop, program, options.instances, options.lines)
        raw = sum(map(os.path.getsize, files))
        config = f'[service.talk]\ncommand = "sh -c \'exec {program} {{id}} {options.lines} stay\'"\nstartup_timeout = "600s"\n'
        daemon = shop.serve(options.ten, config, 8099)
        data = f"{shop.folder}/ten-8099/data"
        connection = Local(f"{data}/admin.sock")
        before, begun = cpu_seconds(daemon.pid), time.monotonic()
        for index in range(options.instances):
            connection.request("POST", "/api/instances?wait=false", json.dumps({"service": "talk", "id": str(index + 1)}))
            connection.getresponse().read()
        found = 0
        while found < total:
            found = search(connection, "shop", 1)
            time.sleep(0.05)
        everything = time.monotonic() - begun
        print(f"{total} lines, {raw / total:.0f} bytes each, from {options.instances} instances")
        print(f"into files         {plain:6.2f} s")
        print(f"all found          {everything:6.2f} s   {total / everything:,.0f} lines/s")
        connection.request("GET", "/api/logs/retention")
        kept = json.loads(connection.getresponse().read())
        while kept["unindexed_bytes"] or on_disk(f"{data}/logs") > raw // 2:
            time.sleep(0.2)
            connection.request("GET", "/api/logs/retention")
            kept = json.loads(connection.getresponse().read())
        print(f"processor time     {(cpu_seconds(daemon.pid) - before) / total * 1e6:6.2f} s for a million lines, packed and indexed")
        print(f"on the disk        {on_disk(f'{data}/logs') / raw:6.2f} of what was written")
        wrong = 0
        for query in SEARCHES:
            times = []
            for _ in range(options.calls):
                asked = time.perf_counter()
                found = search(connection, query)
                times.append((time.perf_counter() - asked) * 1e3)
            wanted = really(query, files)
            right = "right" if found == wanted else f"WRONG: grep finds {wanted}"
            wrong += found != wanted
            p95 = sorted(times)[int(len(times) * 0.95)]
            print(f"{query:<40} {statistics.median(times):6.2f} ms, p95 {p95:6.2f}   {found} lines, {right}")
        return wrong


if __name__ == "__main__":
    sys.exit(main())
