"""What both benchmarks need: processes that are ended again, and a `ten serve` that is ready."""

import os
import shutil
import signal
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TICKS = os.sysconf("SC_CLK_TCK")
# As many as ten uses: one thread per core that we may run on.
THREADS = len(os.sched_getaffinity(0))


class Workshop:
    """A folder and the processes started in it; both are gone at the end."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="ten-bench-")
        # Its workers may run as another user.
        os.chmod(self.folder, 0o755)
        self.processes = []
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def start(self, *command, **more):
        self.log = os.path.join(self.folder, f"{len(self.processes)}.log")
        with open(self.log, "w") as log:
            options = dict(stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
            process = subprocess.Popen(command, **{**options, **more})
        self.processes.append(process)
        return process

    def serve(self, ten, config, port):
        """`ten serve`, ready."""
        config = self.write(f"ten-{port}/tenement.toml", config)
        process = self.start(
            os.path.abspath(ten), "serve", "--quiet", "--config", config, "--host", "127.0.0.1", "--port", str(port),
            "--data-dir", os.path.join(os.path.dirname(config), "data"), stdout=subprocess.PIPE, text=True,
        )
        for line in process.stdout:
            if line.startswith("tenement is ready"):
                return process
        with open(self.log) as log:
            raise SystemExit(f"ten did not start:\n{log.read()}")


def cpu_seconds(pid):
    """Processor time of a process and of its children that run the same program."""
    program = os.readlink(f"/proc/{pid}/exe")
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        try:
            if os.readlink(f"/proc/{one}/exe") != program:
                continue
        except FileNotFoundError:  # it ended meanwhile
            continue
        with open(f"/proc/{one}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
        for thread in os.listdir(f"/proc/{one}/task"):
            with open(f"/proc/{one}/task/{thread}/children") as children:
                todo += [int(child) for child in children.read().split()]
    return total / TICKS
