#!/usr/bin/env python3
"""Processor time per request: ten, nginx and haproxy before one upstream on a Unix socket, in turns.

Needs nginx, haproxy and wrk (`make bench` installs them). All traffic stays on 127.0.0.1.
"""

import argparse
import http.client
import os
import re
import statistics
import subprocess
import time

from common import ROOT, THREADS, Workshop, cpu_seconds

HOST = "one.app.localhost"

# What a large answer costs nginx depends on its buffers more than on anything else: its defaults are shown, and
# buffers of 64 KiB. Neither writes answers to files. The ratios are to the cheaper of the two.
NGINX = [
    ("nginx", 8801, "proxy_max_temp_file_size 0;"),
    ("nginx 64k", 8804, "proxy_max_temp_file_size 0; proxy_buffer_size 64k; proxy_buffers 16 64k; "
     "proxy_busy_buffers_size 256k;"),
]


def nginx(shop, name, server):
    return shop.write(f"{name}.conf", f"""
daemon off; worker_processes {THREADS}; pid {shop.folder}/{name}.pid; error_log {shop.folder}/{name}.error;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {shop.folder}/{name}.tmp;
proxy_temp_path {shop.folder}/{name}.tmp; fastcgi_temp_path {shop.folder}/{name}.tmp;
uwsgi_temp_path {shop.folder}/{name}.tmp; scgi_temp_path {shop.folder}/{name}.tmp; {server} }}
""")


def upstream(shop, size, listen):
    shop.write("www/index.html", "x" * size)
    return f"server {{ listen {listen}; root {shop.folder}/www; sendfile on; open_file_cache max=8; }}"


def subjects(shop, ten, size):
    """Name, port and process of each."""
    socket = f"{shop.folder}/upstream.sock"
    shop.start("nginx", "-c", nginx(shop, "upstream", upstream(shop, size, f"unix:{socket}")))
    for name, port, buffers in NGINX:
        server = f"""upstream up {{ server unix:{socket}; keepalive 64; keepalive_requests 1000000; }}
server {{ listen 127.0.0.1:{port} reuseport; {buffers} location / {{ proxy_pass http://up; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }} }}"""
        yield name, port, shop.start("nginx", "-c", nginx(shop, f"proxy-{port}", server))
    config = shop.write("haproxy.cfg", f"""
global
  nbthread {THREADS}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend front
  bind 127.0.0.1:8802
  default_backend back
backend back
  server one unix@{socket}
""")
    yield "haproxy", 8802, shop.start("haproxy", "-db", "-f", config)
    app = nginx(shop, "app", upstream(shop, size, "unix:SOCKET"))
    script = shop.write("app.sh", f'sed "s#SOCKET#$SOCKET_PATH#" {app} > {app}.own && exec nginx -c {app}.own\n')
    config = f'[service.app]\ncommand = "sh {script}"\n[instances]\napp = ["one"]\n'
    yield "ten", 8803, shop.serve(ten, config, 8803)


def wait(port):
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/", headers={"Host": HOST})
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"nobody answers on port {port}")


def measure(port, process, options):
    before = cpu_seconds(process.pid)
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-H", f"Host: {HOST}"]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    if re.search("Non-2xx|Socket errors", out):
        raise SystemExit(f"port {port} failed requests:\n{out}")
    return (cpu_seconds(process.pid) - before) / requests * 1e6, requests / options.seconds


def run(size, options):
    with Workshop() as shop:
        found = list(subjects(shop, options.ten, size))
        for _, port, _ in found:
            wait(port)
        rows = {name: [] for name, _, _ in found}
        for _ in range(options.rounds):
            for name, port, process in found:
                rows[name].append(measure(port, process, options))
    base = min(statistics.median(cpu for cpu, _ in rows[name]) for name, _, _ in NGINX)
    print(f"\nanswers of {size} bytes, {options.connections} connections")
    print(f"{'':<10}{'us CPU/request':>16}{'x best nginx':>14}{'requests/s':>12}")
    for name, values in rows.items():
        cpu, rate = (statistics.median(column) for column in zip(*values))
        print(f"{name:<10}{cpu:>16.1f}{cpu / base:>14.2f}{rate:>12.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ten", default=os.path.join(ROOT, "target/release/ten"), help="the binary to measure")
    parser.add_argument("--size", type=int, action="append", help="bytes of the answer [128 and 1048576]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    for size in options.size or [128, 1 << 20]:
        run(size, options)
