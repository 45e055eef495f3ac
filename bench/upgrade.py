#!/usr/bin/env python3
"""Upgrades in the midst of traffic: what fails, what is started again, what breaks off, and how long requests take.

Requests come at a steady rate, four of five on connections that stay, the others on connections of their own. WebSockets are open
over all upgrades, and each is used after each of them; downloads go on from the first to the last. Exit code 1 if anything failed."""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

from api import Local
from common import ROOT, Workshop
from websockets import descriptors

PORT = 8841
HOST = "one.app.localhost"
APP = """
const http = require('http');
const piece = Buffer.alloc(16384, 'x');
const server = http.createServer((request, answer) => {
  if (!request.url.startsWith('/download/')) return answer.end('hello\\n');
  let left = +request.url.slice(10);
  answer.setHeader('Content-Length', left * piece.length);
  const timer = setInterval(() => { answer.write(piece); if (--left == 0) { clearInterval(timer); answer.end(); } }, 50);
});
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n' +
    'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n');
  // Short messages, masked with zeroes.
  let read = Buffer.alloc(0);
  socket.on('error', () => socket.destroy()).on('data', data => {
    read = Buffer.concat([read, data]);
    for (let size; read.length > 1 && read.length >= (size = 6 + (read[1] & 127)); read = read.subarray(size))
      socket.write(Buffer.concat([Buffer.from([read[0], size - 6]), read.subarray(6, size)]));
  });
});
server.keepAliveTimeout = 0;
server.listen(process.env.SOCKET_PATH);
"""
HANDSHAKE = (f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()
KEPT = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
ONCE = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


def connect():
    connection = socket.create_connection(("127.0.0.1", PORT))
    connection.settimeout(30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answered(connection):
    answer = b""
    while not answer.endswith(b"\r\n\r\nhello\n"):
        part = connection.recv(4096)
        if not part:
            raise OSError(f"ended after {answer!r}")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"{answer!r}")


class Traffic:
    """Threads that ask at a steady rate until it ends; what each request took, and when."""

    def __init__(self, rate):
        self.done, self.times, self.failures = threading.Event(), [], []
        fresh = max(1, rate // 5 // 50)
        kept = max(1, (rate - fresh * 50) // 100)
        kinds = [(self.kept, 100)] * kept + [(self.fresh, 50)] * fresh
        self.threads = [threading.Thread(target=self.run, args=kind) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def run(self, ask, rate):
        connection, due = None, time.perf_counter()
        while not self.done.is_set():
            due += 1 / rate
            time.sleep(max(0, due - time.perf_counter()))
            begun = time.perf_counter()
            try:
                connection = ask(connection)
                self.times.append((begun, time.perf_counter() - begun))
            except OSError as error:
                self.failures.append((begun, str(error)))
                connection = None

    @staticmethod
    def kept(connection):
        connection = connection or connect()
        connection.sendall(KEPT)
        answered(connection)
        return connection

    @staticmethod
    def fresh(_):
        with connect() as connection:
            connection.sendall(ONCE)
            answered(connection)

    def end(self):
        self.done.set()
        for thread in self.threads:
            thread.join()


class Download(threading.Thread):
    """One that takes as long as it is told; whether all of it came."""

    def __init__(self, pieces):
        super().__init__()
        self.wanted, self.got, self.connection = pieces * 16384, 0, connect()
        self.connection.sendall(f"GET /download/{pieces} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        self.start()

    def run(self):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                head += self.connection.recv(1)
            while part := self.connection.recv(1 << 20):
                self.got += len(part)
        except OSError:
            pass


def opened():
    connection = connect()
    connection.sendall(HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    return connection


def echoes(connection, number):
    text = b"%06d" % number
    try:
        connection.sendall(b"\x81\x86" + bytes(4) + text)
        back = b""
        while len(back) < 8:
            part = connection.recv(8 - len(back))
            if not part:
                return False
            back += part
        return back == b"\x81\x06" + text
    except OSError:
        return False


def life(folder):
    connection = Local(f"{folder}/ten-{PORT}/data/admin.sock")
    connection.request("GET", "/api/instances/app/one")
    view = json.loads(connection.getresponse().read())
    return view["pid"], view["restart_count"]


def shown(name, times):
    times = sorted(times)
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1e3
    print(f"{name:<22}{len(times):>9}{at(.5):>10.2f}{at(.99):>10.2f}{at(1):>10.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ten", default=os.path.join(ROOT, "target/release/ten"), help="the binary to measure")
    parser.add_argument("--rate", type=int, default=2000, help="requests per second")
    parser.add_argument("--websockets", type=int, default=100, help="open WebSockets")
    parser.add_argument("--downloads", type=int, default=10, help="open downloads")
    parser.add_argument("--upgrades", type=int, default=5, help="how many, one after another")
    options = parser.parse_args()
    descriptors()
    ten = os.path.abspath(options.ten)
    sys.setswitchinterval(0.0005)
    with Workshop() as shop:
        app = shop.write("app.js", APP)
        shop.serve(ten, f"""
[service.app]
command = "{shutil.which('node')} {app}"
[instances]
app = ["one"]
""", PORT)
        with connect() as first:
            first.sendall(ONCE)
            answered(first)
        before, durations, windows, broken = life(shop.folder), [], [], set()
        sockets = [opened() for _ in range(options.websockets)]
        downloads = [Download(options.upgrades * 4 * 20) for _ in range(options.downloads)]
        traffic = Traffic(options.rate)
        for round in range(options.upgrades):
            time.sleep(1.5)
            begun = time.perf_counter()
            data = f"{shop.folder}/ten-{PORT}/data"
            upgraded = subprocess.run([ten, "--data-dir", data, "upgrade"], capture_output=True, text=True)
            durations.append(time.perf_counter() - begun)
            if upgraded.returncode:
                raise SystemExit(f"ten upgrade: {upgraded.stderr}")
            windows.append((begun, time.perf_counter() + 1))
            broken |= {at for at, one in enumerate(sockets) if not echoes(one, round)}
            time.sleep(1)
        traffic.end()
        for download in downloads:
            download.join()
        lost = sum(download.got != download.wanted for download in downloads)
        restarted = life(shop.folder) != before
        around = lambda at: any(begin <= at <= end for begin, end in windows)
        print(f"{'requests':<22}{'count':>9}{'p50, ms':>10}{'p99, ms':>10}{'max, ms':>10}")
        shown("around the upgrades", [took for at, took in traffic.times if around(at)])
        shown("at other times", [took for at, took in traffic.times if not around(at)])
        print(f"'ten upgrade' took {statistics.median(durations):.2f} s, at most {max(durations):.2f} s")
        print(f"{len(traffic.failures)} failed requests, {int(restarted)} restarted instances, {lost} of {len(downloads)} downloads "
              f"and {len(broken)} of {len(sockets)} WebSockets broken, in {options.upgrades} upgrades")
        for _, error in traffic.failures[:5]:
            print(f"  {error}")
        for one in sockets:
            one.close()
        sys.exit(bool(traffic.failures or restarted or lost or broken))
