"""What instances are in the tests of upgrades. What it waits for are files in its folder."""

import base64, hashlib, os, re, socket, threading, time

DATA = os.environ["DATA_DIR"]
HALF = b"x" * 300_000


def wait_for(name):
    while not os.path.exists(f"{DATA}/{name}"):
        time.sleep(0.005)


def note(name, text):
    seen = os.open(f"{DATA}/{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(seen, f"{text}\n".encode())
    os.close(seen)


def answer(client, body):
    client.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def echo(client, head):
    key = re.search(rb"sec-websocket-key: *(\S+)", head, re.I)[1]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    client.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    client.flush()
    while len(start := client.read(2)) == 2:
        mask, data = client.read(4), client.read(start[1] & 127)
        client.write(start[:1] + bytes([len(data)]) + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))
        client.flush()
        if start[0] & 15 == 8:
            return


def serve(connection):
    client = connection.makefile("rwb")
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = client.readline()
            if not line:
                return
            head += line
        path = head.split(b" ")[1].decode()
        length = re.search(rb"content-length: *(\d+)", head, re.I)
        if path == "/upload":
            got = client.read(1)
            note("uploading", "")
            got += client.read(int(length[1]) - 1)
            answer(client, b"%d %s" % (len(got), hashlib.sha1(got).hexdigest().encode()))
        elif path == "/download":
            client.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (2 * len(HALF), HALF))
            client.flush()
            wait_for("go")
            client.write(HALF)
        elif path == "/ws":
            return echo(client, head)
        elif path.startswith("/die/"):
            os._exit(int(path[5:]))
        else:
            note("seen", path)
            answer(client, f"{os.getpid()} {path}".encode())
        client.flush()


def served(connection):
    try:
        serve(connection)
    except OSError:
        pass
    connection.close()


def chatter():
    number = 0
    while not os.path.exists(f"{DATA}/quiet"):
        print(f"line {number}", flush=True)
        number += 1
        time.sleep(0.002)
    note("printed", number)


if os.path.exists(f"{DATA}/slow"):
    note("starting", "")
    while os.path.exists(f"{DATA}/slow"):
        time.sleep(0.005)
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.environ["SOCKET_PATH"])
listening.listen(512)
if "CHATTER" in os.environ:
    threading.Thread(target=chatter, daemon=True).start()
while True:
    connection, _ = listening.accept()
    threading.Thread(target=served, args=(connection,), daemon=True).start()
