#!/usr/bin/env python3
"""Runs Autobahn|Testsuite (RFC 6455) against an echo application, the same through `ten serve`, and the API's own stack.

Exit codes: 0 nothing failed, 1 something did, 2 it could not be run."""

import argparse
import collections
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TARGET = os.path.join(ROOT, "target/autobahn")
# Compression: neither the echo application nor the API offers it.
LEFT_OUT = ["12.*", "13.*"]
CASES = 301
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


def give_up(words):
    print(words, file=sys.stderr)
    sys.exit(2)


def python27():
    """The first Python 2.7 that really is one; the test suite runs on no other."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    found = [os.environ.get("PYTHON27"), shutil.which("python2.7"), shutil.which("python2")]
    found += sorted(glob.glob(f"{pyenv}/versions/2.7.*/bin/python2.7"))
    for python in filter(None, found):
        asked = subprocess.run([python, "-c", "import pip, sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if asked.returncode == 0 and asked.stdout.strip() == "(2, 7)":
            return python
    give_up("Autobahn|Testsuite needs Python 2.7 with pip, and there is none here: install one (pyenv install 2.7.18),\n"
            "or say where one is with PYTHON27=/path/to/python2.7.")


def suite(python):
    """Installs the test suite, once for these requirements."""
    wanted = os.path.join(HERE, "requirements.txt")
    folder, done = os.path.join(TARGET, "lib"), os.path.join(TARGET, "installed.txt")
    with open(wanted) as file:
        text = file.read()
    if os.path.exists(done) and open(done).read() == text:
        return folder
    print("Installing Autobahn|Testsuite (half a minute, once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location",
               "--no-deps", "--target", folder, "-r", wanted]
    if subprocess.run(command).returncode != 0:
        give_up("The test suite can't be installed.")
    shutil.copy(wanted, done)
    return folder


class Servers:
    """Programs that say where they listen; they end with this."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="ten-autobahn-")
        self.running = []
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, sign, *command, **env):
        """The last word of the first line that begins with `sign`."""
        log = open(os.path.join(self.folder, f"{len(self.running)}.log"), "w+")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.folder,
                                   env={**os.environ, **env})
        self.running.append(process)
        for line in process.stdout:
            if line.startswith(sign):
                return line.split()[-1]
        log.seek(0)
        give_up(f"{command[0]} did not start:\n{log.read()}")

    def ten(self, echo):
        config = os.path.join(self.folder, "tenement.toml")
        with open(config, "w") as file:
            file.write(f"[service.ws]\ncommand = '{echo}'\n\n[instances]\nws = ['echo']\n")
        said = self.start("tenement is ready", os.path.join(ROOT, "target/debug/ten"), "serve", "--config", config,
                          "--data-dir", os.path.join(self.folder, "data"), "--host", "127.0.0.1", "--port", "0")
        return said.rsplit(":", 1)[1].rstrip("/")


def judge(outcomes):
    """Prints how often each behaviour was seen, and what failed; whether nothing did."""
    names = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED"]
    print(f"\n{'':<10}" + "".join(f"{name:>15}" for name in names) + f"{'of':>6}")
    well = True
    for agent, cases in outcomes.items():
        bad = {case: seen for case, seen in cases.items() if not {seen["behavior"], seen["behaviorClose"]} <= GOOD}
        counted = collections.Counter("FAILED" if case in bad else seen["behavior"] for case, seen in cases.items())
        print(f"{agent:<10}" + "".join(f"{counted[name]:>15}" for name in names) + f"{len(cases):>6}")
        well = well and not bad and len(cases) == CASES
        for case, seen in bad.items():
            print(f"  {case}: {seen['behavior']}, closing {seen['behaviorClose']}")
        if len(cases) != CASES:
            print(f"  {CASES} cases should have run")
    return well


def compare(directly, through):
    """Names the cases in which the proxy made a difference: a close frame that was lost is no failure to the suite."""
    for case in directly.keys() & through.keys():
        seen = [(one[case]["behavior"], one[case]["remoteCloseCode"]) for one in (directly, through)]
        if seen[0] != seen[1]:
            print(f"  {case} directly: {seen[0]}, through ten: {seen[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="*", help="the cases to run, such as 5.* (all)")
    parser.add_argument("--minutes", type=int, default=20, help="the time it may take (20)")
    options = parser.parse_args()
    python = python27()
    lib = suite(python)
    echo = os.path.join(TARGET, "echo/release/websocket-echo")
    reports = os.path.join(TARGET, "reports")
    shutil.rmtree(reports, ignore_errors=True)
    with Servers() as servers:
        urls = {
            "app": f"ws://localhost:{servers.start('ready', echo, PORT='0')}",
            "proxied": f"ws://echo.ws.localhost:{servers.ten(echo)}",
            "api": f"ws://localhost:{servers.start('ready', os.path.join(ROOT, 'target/debug/examples/websocket_echo'))}",
        }
        spec = {
            "outdir": reports,
            "servers": [{"agent": agent, "url": url} for agent, url in urls.items()],
            "cases": options.cases.split(","), "exclude-cases": LEFT_OUT, "exclude-agent-cases": {},
        }
        with open(os.path.join(servers.folder, "spec.json"), "w") as file:
            json.dump(spec, file)
        try:
            ran = subprocess.run([python, os.path.join(HERE, "wstest.py"), lib, "-m", "fuzzingclient", "-s", file.name],
                                 timeout=options.minutes * 60, stdout=subprocess.DEVNULL, cwd=servers.folder)
        except subprocess.TimeoutExpired:
            give_up(f"It was not done after {options.minutes} minutes.")
    if ran.returncode != 0 or not os.path.exists(f"{reports}/index.json"):
        give_up("The test suite ended without a result.")
    with open(f"{reports}/index.json") as file:
        outcomes = json.load(file)
    print(f"What was sent and received: {os.path.relpath(reports)}/index.html")
    well = judge({agent: outcomes.get(agent, {}) for agent in urls})
    compare(outcomes.get("app", {}), outcomes.get("proxied", {}))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
