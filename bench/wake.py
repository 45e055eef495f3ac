#!/usr/bin/env python3
"""The first request to a sleeping instance, beside the same app started by hand: the difference is what ten costs."""

import argparse
import os
import shutil
import socket
import statistics
import time

from common import ROOT, Workshop

APPS = {
    "python": ("python3", """
import os, socketserver
class Hello(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip(): pass
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\nConnection: close\\r\\n\\r\\nhello\\n")
socketserver.ThreadingUnixStreamServer(os.environ["SOCKET_PATH"], Hello).serve_forever()
"""),
    "node": ("node", """
require('http').createServer((_, answer) => answer.end('hello\\n')).listen(process.env.SOCKET_PATH);
"""),
}


def ask(connection, host):
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while part := connection.recv(4096):
        answer += part
    if b" 200 " not in answer[:20]:
        raise SystemExit(f"{host} answered {answer!r}")


def by_hand(shop, command, count):
    for number in range(count):
        path = f"{shop.folder}/hand-{number}.sock"
        begun = time.perf_counter()
        process = shop.start(*command, env={"SOCKET_PATH": path, "PATH": os.environ["PATH"]})
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(path)
                break
            except OSError:
                connection.close()
                time.sleep(0.0002)
        ask(connection, "by-hand")
        yield (time.perf_counter() - begun) * 1e3
        process.kill()
        process.wait()


def by_request(shop, ten, name, command, count, port):
    ids = [f"i{number}" for number in range(count)]
    shop.serve(ten, f"""
[service.{name}]
command = "{' '.join(command)}"
idle_timeout = "1s"
autostart = false
[instances]
{name} = {ids}
""", port)
    for one in ids:
        begun = time.perf_counter()
        ask(socket.create_connection(("127.0.0.1", port)), f"{one}.{name}.localhost")
        yield (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ten", default=os.path.join(ROOT, "target/release/ten"), help="the binary to measure")
    parser.add_argument("--count", type=int, default=20, help="wakes per app")
    options = parser.parse_args()
    print(f"{'':<10}{'by hand, ms':>14}{'by request, ms':>16}{'difference':>12}")
    for port, (name, (program, source)) in enumerate(APPS.items(), 8811):
        with Workshop() as shop:
            command = [shutil.which(program), shop.write(f"{name}.app", source)]
            hand = statistics.median(by_hand(shop, command, options.count))
            wake = statistics.median(by_request(shop, options.ten, name, command, options.count, port))
        print(f"{name:<10}{hand:>14.2f}{wake:>16.2f}{wake - hand:>12.2f}")
