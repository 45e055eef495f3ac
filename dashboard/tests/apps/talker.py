"""An app that prints what it is told to, and nothing else, so that tests know each line: /say with the lines as the body,
/count?n=N&from=M for numbered ones, /run for numbered ones, 200 a second, until /stop."""

import json
import os
import signal
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

SOCKET = os.environ["SOCKET_PATH"]
OUT = sys.stdout.buffer
LOCK = threading.Lock()
STOP = threading.Event()


def say(data):
    with LOCK:
        OUT.write(data)
        OUT.flush()


def run():
    number = 0
    while not STOP.wait(0.005):
        say(b"run %d\n" % number)
        number += 1
    say(b"run ended after %d\n" % number)


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        asked = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
        if url.path == "/count":
            first = asked.get("from", 0)
            say(b"".join(b"count %d\n" % number for number in range(first, first + asked["n"])))
        if url.path == "/run":
            STOP.clear()
            threading.Thread(target=run, daemon=True).start()
        if url.path == "/stop":
            STOP.set()
        self.answer()

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        say(self.rfile.read(length))
        self.answer()

    def answer(self):
        body = json.dumps({"ok": True}).encode()
        self.send_response(200)
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


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    Server(SOCKET, App).serve_forever()
