"""A small app for the tests: it serves on its socket, and does what its path says.

/health 200   /error 500   /slow?ms=N   /crash?code=N   /print?text=T   /burst?lines=N
/hold until /release comes, for a minute at most   everything else: who it is
With TICK=SECONDS it also prints a line each so many seconds, as apps do: plain, JSON, coloured, a warning.
"""

import itertools
import json
import os
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

WHO = os.environ["TENEMENT_INSTANCE"]
SOCKET = os.environ["SOCKET_PATH"]
RELEASED = threading.Event()


def say(text, to=sys.stdout):
    print(text, file=to, flush=True)


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/health":
            return self.answer(200, "ok")
        if url.path == "/error":
            say(f"ERROR could not answer {self.path}", sys.stderr)
            return self.answer(500, "failed")
        if url.path == "/slow":
            time.sleep(int(asked.get("ms", "100")) / 1000)
        if url.path == "/hold":
            RELEASED.wait(60)
        if url.path == "/release":
            RELEASED.set()
        if url.path == "/print":
            say(asked.get("text", ""))
        if url.path == "/burst":
            for number in range(int(asked.get("lines", "100"))):
                say(f"burst line {number}")
        if url.path == "/crash":
            say("FATAL about to fall over", sys.stderr)
            os._exit(int(asked.get("code", "3")))
        say(f"GET {self.path} 200")
        return self.answer(200, f"{WHO} {os.environ.get('GREETING', '')}\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
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


def tick(seconds):
    for number in itertools.count(1):
        kind = number % 4
        if kind == 0:
            say(json.dumps({"level": "info", "msg": "job done", "job": number, "took_ms": number % 90}))
        elif kind == 1:
            say(f"INFO tick {number}")
        elif kind == 2:
            say(f"\x1b[32mgreen\x1b[0m tick {number}")
        else:
            say(f"WARN tick {number} was late", sys.stderr)
        time.sleep(seconds)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    with Server(SOCKET, App) as server:
        say(f"{WHO} serves")
        if "TICK" in os.environ:
            threading.Thread(target=tick, args=(float(os.environ["TICK"]),), daemon=True).start()
        server.serve_forever()
