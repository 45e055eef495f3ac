"""An app that looks like work on a screenshot: it serves, prints what such apps print, holds some memory, fails a little.

/error 500   /broken ends it soon after the answer, as a bug would   everything else 200 after some milliseconds
"""

import hashlib
import json
import os
import random
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

WHO = os.environ["TENEMENT_INSTANCE"]
SOCKET = os.environ["SOCKET_PATH"]
SEED = int(hashlib.sha256(WHO.encode()).hexdigest(), 16)
HELD = bytearray(SEED % 24 * 1024 * 1024)
JOBS = ["mail.sent", "invoice.rendered", "thumbnail.made", "index.updated", "cache.warmed"]


def say(level, msg, **fields):
    print(json.dumps({"level": level, "msg": msg, **fields}), flush=True)


def fall():
    print('Traceback (most recent call last):\n  File "app.py", line 88, in render', file=sys.stderr)
    print("KeyError: 'customer'", file=sys.stderr, flush=True)
    os._exit(1)


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        began = time.monotonic()
        time.sleep(random.expovariate(80))
        if self.path == "/broken":
            threading.Timer(0.3, fall).start()
        failed = self.path == "/error"
        took = round((time.monotonic() - began) * 1000, 1)
        if failed:
            say("error", "upstream did not answer", path="/api/rates", took_ms=took)
        elif self.path != "/health":
            print(f"GET {self.path} 200 {took} ms", flush=True)
        body = b"failed" if failed else b"ok"
        self.send_response(500 if failed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def address_string(self):
        return "-"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def work():
    while True:
        time.sleep(random.uniform(1, 6))
        if random.random() < 0.12:
            say("warn", "slow query", table="orders", took_ms=random.randrange(300, 900))
        else:
            say("info", random.choice(JOBS), job=random.randrange(10_000, 99_999), took_ms=random.randrange(4, 90))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.environ.get("BROKEN"):
        print("ModuleNotFoundError: No module named 'stripe'", file=sys.stderr, flush=True)
        os._exit(1)
    HELD[::4096] = b"x" * len(HELD[::4096])
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    with Server(SOCKET, App) as server:
        print(f"{WHO} listens", flush=True)
        threading.Thread(target=work, daemon=True).start()
        server.serve_forever()
