#!/usr/bin/env python3
"""The API: pages of a long list, a good token beside a flood of wrong ones, and a reader of logs that never reads."""

import argparse
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import threading
import time

from common import ROOT, Workshop, cpu_seconds

INSTANCES = 1000
# Each lets 1000 requests through in a minute.
TOKENS = 120
LIST = """
[service.app]
command = "sleep 1000"
autostart = false
max_instances = 2000
[instances]
app = [%s]
"""
WRITER = """
import os, socket, time
s = socket.socket(socket.AF_UNIX); s.bind(os.environ["SOCKET_PATH"]); s.listen()
line = b"x" * 99 + b"\\n"
while True:
    c, _ = s.accept(); c.recv(65536)
    begun = time.perf_counter()
    for _ in range(2000): os.write(1, line * 500)
    took = "%.1f" % ((time.perf_counter() - begun) * 1e3)
    c.sendall(("HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s" % (len(took), took)).encode())
    c.close()
"""


class Local(http.client.HTTPConnection):
    """The local administration socket, where no token is needed and nothing is limited."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def admin(shop, port):
    return Local(f"{shop.folder}/ten-{port}/data/admin.sock")


def token(connection, **wanted):
    connection.request("POST", "/api/tokens", json.dumps(wanted))
    return json.loads(connection.getresponse().read())["token"]


def memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def pages(shop, daemon, port, seconds):
    connection = admin(shop, port)
    tokens = [token(connection, scopes=["read"]) for _ in range(TOKENS)]
    shop.write("rotate.lua", """
local tokens, at = {%s}, 0
request = function()
  at = at %% #tokens + 1
  return wrk.format("GET", "/api/instances?limit=20&offset=" .. 20 * (at %% 50), {["Authorization"] = "Bearer " .. tokens[at]})
end
done = function(summary, latency) io.write(string.format("99%%%% %%.2f\\n", latency:percentile(99) / 1e3)) end
""" % ",".join(f'"{token}"' for token in tokens))
    before = cpu_seconds(daemon.pid)
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", f"{shop.folder}/rotate.lua", f"http://127.0.0.1:{port}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise SystemExit(said)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    count = int(re.search(r"(\d+) requests in", said)[1])
    late = float(re.search(r"^99% ([\d.]+)", said, re.M)[1])
    spent = (cpu_seconds(daemon.pid) - before) / count * 1e6
    print(f"20 of {INSTANCES} instances, 32 connections: {rate:.0f} requests/s, p99 {late:.1f} ms, {spent:.0f} µs of processor each")


def flood(port, stop, sent):
    connection = http.client.HTTPConnection("127.0.0.1", port, source_address=("127.0.0.2", 0))
    begun = time.perf_counter()
    while not stop.is_set():
        if sent[0] < (time.perf_counter() - begun) * 1000:
            connection.request("GET", "/api/instances", headers={"Authorization": "Bearer tenement_wrong"})
            connection.getresponse().read()
            sent[0] += 1
        else:
            time.sleep(0.0005)


def guessed(shop, port):
    good = token(admin(shop, port), scopes=["read"])
    for name, attack in (("alone", False), ("beside 1000 wrong tokens/s", True)):
        stop, sent = threading.Event(), [0]
        thread = threading.Thread(target=flood, args=(port, stop, sent))
        if attack:
            thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        times = []
        begun = time.perf_counter()
        for _ in range(400):
            time.sleep(0.01)
            at = time.perf_counter()
            connection.request("GET", "/api/status", headers={"Authorization": f"Bearer {good}"})
            assert connection.getresponse().read() and True
            times.append((time.perf_counter() - at) * 1e3)
        rate = sent[0] / (time.perf_counter() - begun)
        stop.set()
        if attack:
            thread.join()
        times.sort()
        print(f"a good token {name}: p50 {times[200]:.2f} ms, p99 {times[395]:.2f} ms ({rate:.0f} wrong tokens/s)")


def never_reads(shop, daemon, port):
    def write():
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/", headers={"Host": "one.writer.localhost"})
        return float(connection.getresponse().read())

    good = token(admin(shop, port), scopes=["read"])
    [write() for _ in range(8)]
    before = memory(daemon.pid)
    alone = [write() for _ in range(8)]
    drift = memory(daemon.pid) - before
    before = memory(daemon.pid)
    reader = socket.create_connection(("127.0.0.1", port))
    reader.sendall(
        b"GET /api/logs?follow=true HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Authorization: Bearer " + good.encode() + b"\r\n\r\n"
    )
    beside = [write() for _ in range(8)]
    print(
        f"1,000,000 lines: {statistics.median(alone):.0f} ms alone, {statistics.median(beside):.0f} ms beside a reader that never"
        f" reads; memory {drift:+d} KiB without it, {(memory(daemon.pid) - before):+d} KiB with it"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ten", default=f"{ROOT}/target/release/ten")
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument("--seconds", type=int, default=8)
    options = parser.parse_args()
    with Workshop() as shop:
        names = ", ".join(f'"i{number}"' for number in range(INSTANCES))
        daemon = shop.serve(options.ten, LIST % names, options.port)
        pages(shop, daemon, options.port, options.seconds)
        guessed(shop, options.port)
    with Workshop() as shop:
        app = shop.write("writer.py", WRITER)
        config = f'[service.writer]\ncommand = "python3 {app}"\nrequest_timeout = 300\n[instances]\nwriter = ["one"]\n'
        daemon = shop.serve(options.ten, config, options.port)
        never_reads(shop, daemon, options.port)


if __name__ == "__main__":
    main()
