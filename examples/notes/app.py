"""Notes: one page, one SQLite database. Knows nothing of tenants."""

import html
import os
import signal
import socket
import socketserver
import sqlite3
import sys
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
        with connect() as database:
            rows = database.execute("SELECT id, text FROM notes ORDER BY id DESC").fetchall()
        notes = "".join(ITEM.format(id=id, text=html.escape(text)) for id, text in rows)
        return self.answer(200, PAGE.format(owner=html.escape(OWNER), notes=notes), "text/html")

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if length > MAX_BODY:
            self.close_connection = True
            return self.answer(413, "That is too long for a note.\n", "text/plain")
        form = parse_qs(self.rfile.read(length).decode("utf-8", "replace"))
        with connect() as database:
            if self.path == "/add" and form.get("text"):
                database.execute("INSERT INTO notes (text) VALUES (?)", (form["text"][0],))
            elif self.path == "/delete" and form.get("id"):
                database.execute("DELETE FROM notes WHERE id = ?", (form["id"][0],))
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, status, text, content_type):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
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
