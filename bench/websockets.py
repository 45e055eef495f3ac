#!/usr/bin/env python3
"""Memory of ten for each idle WebSocket: many are opened through it to one instance, each is used once, then all are silent."""

import argparse
import os
import resource
import socket

from common import ROOT, Workshop

PORT = 8821
HANDSHAKE = (b"GET / HTTP/1.1\r\nHost: echo.ws.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def descriptors():
    """What each process may have open, here and in those that are started from here."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def kib(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def opened(size):
    connection = socket.create_connection(("127.0.0.1", PORT))
    connection.sendall(HANDSHAKE)
    answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no WebSocket: {answer!r}")
    # A text frame with a mask of zeroes, in the form for up to 64 KiB.
    connection.sendall(b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + b"x" * size)
    left = size + 4
    while left:
        left -= len(connection.recv(left))
    return connection


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ten", default=os.path.join(ROOT, "target/release/ten"), help="the binary to measure")
    parser.add_argument("--echo", default=os.path.join(ROOT, "target/autobahn/echo/release/websocket-echo"),
                        help="an echo application that listens on the port PORT")
    parser.add_argument("--count", type=int, default=10_000, help="WebSockets")
    parser.add_argument("--size", type=int, default=4096, help="bytes of the one message on each, 126 to 65535")
    options = parser.parse_args()
    # ten holds two for each: the client's and the instance's.
    count = min(options.count, (descriptors() - 200) // 2)
    with Workshop() as shop:
        ten = shop.serve(options.ten, f"""
[service.ws]
command = "{os.path.abspath(options.echo)}"
[instances]
ws = ["echo"]
""", PORT)
        opened(options.size).close()
        before, connections = kib(ten.pid), []
        for number in range(1, count + 1):
            connections.append(opened(options.size))
            if number in (count // 10, count):
                more = kib(ten.pid) - before
                print(f"{number:>6} idle WebSockets: {more:>7} KiB more than the {before} KiB before, {more / number:.2f} KiB each")
        for connection in connections:
            connection.close()
