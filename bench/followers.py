#!/usr/bin/env python3
"""Followers of one busy instance: the daemon's processor time for each, and how late lines come.

One instance prints lines at a steady rate. So many WebSockets follow it (`GET /api/logs/SERVICE/ID?follow=true`), with or without a
filter; one process drains them all, and reads the lines of the first one. Printed: processor time of the daemon in a second of its
life, with the proxy that passes the bytes on; the same for each follower beyond the first; lines a follower got of those printed; and
how late the first one had them."""

import argparse
import base64
import json
import os
import re
import selectors
import socket
import time

from api import Local
from common import ROOT, Workshop, cpu_seconds

WRITER = """
import os, socket, threading, time
RATE = %d
def write():
    filler, begun, n = "x" * 70, time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begun) * RATE)
        while n < due:
            os.write(1, b"INFO n=%%d at=%%d %%s\\n" %% (n, time.monotonic_ns(), filler.encode())); n += 1
        time.sleep(0.001)
threading.Thread(target=write, daemon=True).start()
s = socket.socket(socket.AF_UNIX); s.bind(os.environ["SOCKET_PATH"]); s.listen()
while True:
    s.accept()[0].close()
"""
LINE = re.compile(rb"n=(\d+) at=(\d+)")


def token(shop, port):
    connection = Local(f"{shop.folder}/ten-{port}/data/admin.sock")
    connection.request("POST", "/api/tokens", json.dumps({"scopes": ["read"]}))
    return json.loads(connection.getresponse().read())["token"]


def follow(port, secret, query):
    """A WebSocket, after its handshake."""
    reader = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    reader.sendall(
        f"GET /api/logs/writer/one?follow=true&limit=0{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Authorization: Bearer {secret}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += reader.recv(1)
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise SystemExit(head.decode())
    reader.setblocking(False)
    return reader


def drain(readers, seconds):
    """What comes meanwhile: bytes of the others, and of the first one how late each line was, in milliseconds."""
    ready = selectors.DefaultSelector()
    for index, reader in enumerate(readers):
        ready.register(reader, selectors.EVENT_READ, index)
    buffer, rest, late, others = bytearray(1 << 18), b"", [], 0
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in ready.select(left):
            got = key.fileobj.recv_into(buffer)
            if not got:
                raise SystemExit("a follower was turned away")
            if key.data:
                others += got
                continue
            now, text = time.monotonic_ns(), rest + buffer[:got]
            at = 0
            for found in LINE.finditer(text):
                late.append((now - int(found[2])) / 1e6)
                at = found.end()
            # A time may be cut at the end of what was read.
            if at and at > len(text) - 20:
                late.pop()
                at = found.start()
            rest = text[at:][-4096:]
    ready.close()
    return late, others


def measure(daemon, port, secret, count, query, seconds):
    readers = [follow(port, secret, query) for _ in range(count)]
    drain(readers, 1) if readers else time.sleep(1)
    before, begun = cpu_seconds(daemon.pid), time.monotonic()
    late, others = drain(readers, seconds) if readers else (time.sleep(seconds), 0)
    took = time.monotonic() - begun
    spent = (cpu_seconds(daemon.pid) - before) / took
    for reader in readers:
        reader.close()
    return spent, sorted(late or []), others / took / 1e6, took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ten", default=f"{ROOT}/target/release/ten")
    parser.add_argument("--port", type=int, default=8500)
    parser.add_argument("--rate", type=int, default=5000, help="lines a second")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--followers", type=int, nargs="*", default=[1, 10, 50, 200])
    parser.add_argument("--rare", action="store_true", help="ask for one line in a hundred only")
    options = parser.parse_args()
    query = "&grep=n%3D%5B0-9%5D*77%20" if options.rare else ""
    with Workshop() as shop:
        app = shop.write("writer.py", WRITER % options.rate)
        config = f'[service.writer]\ncommand = "python3 {app}"\n[instances]\nwriter = ["one"]\n'
        daemon = shop.serve(options.ten, config, options.port)
        secret = token(shop, options.port)
        alone, _, _, _ = measure(daemon, options.port, secret, 0, query, options.seconds)
        print(f"{options.rate} lines/s, nobody follows: {alone * 100:.1f} % of a core")
        first = None
        for count in options.followers:
            spent, late, others, took = measure(daemon, options.port, secret, count, query, options.seconds)
            first = spent if first is None else first
            each = f", {(spent - first) / (count - 1) * 1e3:.2f} ms of processor a second for each beyond the first" if count > 1 else ""
            when = f"p50 {late[len(late) // 2]:.1f} ms, p95 {late[int(len(late) * .95)]:.1f} ms late" if late else "no line"
            print(
                f"{count:>4} followers: {spent * 100:.1f} % of a core{each}; {len(late) / took:.0f} lines/s, {when};"
                f" {others:.0f} MB/s to the others"
            )


if __name__ == "__main__":
    main()
