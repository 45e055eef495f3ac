"""Notes: one page, one SQLite database. Knows nothing of tenants."""

import html
import os
import signal
import socket
import socketserver
import sqlite3
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

OWNER = os.environ.get("OWNER", "somebody")
DATABASE = os.path.join(os.environ.get("DATA_DIR", "."), "notes.db")
SOCKET = os.environ["SOCKET_PATH"]
MAX_BODY = 64 * 1024

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{owner}'s notes</title>
<style>body{{font:18px/1.5 system-ui;max-width:36rem;margin:3rem auto;padding:0 1rem}}li{{margin:.3rem 0}}
input{{font:inherit;width:70%}}button{{font:inherit}}li form{{display:inline}}</style>
<h1>{owner}'s notes</h1>
<form method="post" action="/add"><input name="text" autofocus required maxlength="500"> <button>Add</button></form>
<ul>{notes}</ul></html>"""

ITEM = '<li>{text} <form method="post" action="/delete"><button name="id" value="{id}">×</button></form></li>'


def connect():
    database = sqlite3.connect(DATABASE)
    database.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    return database


class Notes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, "ok\n", "text/plain")
        if self.path != "/":
            return self.answer(404, "There is nothing here.\n", "text/plain")
        with closing(connect()) as database:
            rows = database.execute("SELECT id, text FROM notes ORDER BY id DESC").fetchall()
        notes = "".join(ITEM.format(id=id, text=html.escape(text)) for id, text in rows)
        return self.answer(200, PAGE.format(owner=html.escape(OWNER), notes=notes), "text/html")

    def do_POST(self):
        form = self.form()
        if form is None:
            return
        if self.path not in ("/add", "/delete"):
            return self.answer(404, "There is nothing here.\n", "text/plain")
        with closing(connect()) as database, database:
            if self.path == "/add" and form.get("text"):
                database.execute("INSERT INTO notes (text) VALUES (?)", (form["text"][0],))
            elif self.path == "/delete" and form.get("id"):
                database.execute("DELETE FROM notes WHERE id = ?", (form["id"][0],))
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def form(self):
        """What was posted; None when it was refused."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            return self.refuse(411, "Say how long it is.\n")
        if len(length) > 9 or int(length) > MAX_BODY:
            return self.refuse(413, "That is too long for a note.\n")
        return parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))

    def refuse(self, status, text):
        # The body was not read: on this connection it would be taken for the next request.
        self.close_connection = True
        self.answer(status, text, "text/plain")

    def answer(self, status, text, content_type):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def address_string(self):
        return self.headers.get("X-Forwarded-For", "-") if hasattr(self, "headers") else "-"

    def log_message(self, format, *arguments):
        print(self.address_string(), format % arguments, flush=True)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    with Server(SOCKET, Notes) as server:
        print(f"{OWNER}'s notes are at {SOCKET}", flush=True)
        server.serve_forever()
