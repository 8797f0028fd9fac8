"""A throw-away cluster for the benchmarks: a copy of the distribution with ports and directories of its own."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def cpu_seconds(pid, with_children):
    """User and system time of a process; its reaped children too when asked."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    ticks = int(fields[11]) + int(fields[12])
    if with_children:
        ticks += int(fields[13]) + int(fields[14])
    return ticks / CLOCK_TICKS


def rss_megabytes(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024.0
    return 0.0


def get(rest_port, path):
    """What a REST server of this machine answers."""
    connection = http.client.HTTPConnection("localhost", rest_port, timeout=30)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


class Cluster:
    """Starts on entry, stops on exit. `config` lines go behind the defaults of the copy."""

    def __init__(self, dist, task_managers=1, slots=1, config=None):
        self.root = tempfile.mkdtemp(prefix="flink-bench-")
        self.dist = os.path.join(self.root, "dist")
        shutil.copytree(dist, self.dist, symlinks=True)
        for leftover in ("log", "run"):
            shutil.rmtree(os.path.join(self.dist, leftover), ignore_errors=True)
        os.makedirs(os.path.join(self.dist, "log"))
        self.rest_port, self.rpc_port = free_ports(2)
        self.checkpoints = os.path.join(self.root, "checkpoints")
        self.savepoints = os.path.join(self.root, "savepoints")
        settings = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": self.rpc_port,
            "rest.address": "localhost",
            "rest.port": self.rest_port,
            "taskmanager.numberOfTaskSlots": slots,
            "io.tmp.dirs": os.path.join(self.root, "tmp"),
            "execution.checkpointing.dir": "file://" + self.checkpoints,
            "execution.checkpointing.savepoint-dir": "file://" + self.savepoints,
        }
        settings.update(config or {})
        for directory in ("tmp", "checkpoints", "savepoints"):
            os.makedirs(os.path.join(self.root, directory))
        with open(os.path.join(self.dist, "conf", "config.yaml"), "w") as f:
            for key, value in settings.items():
                f.write(f"{key}: {value}\n")
        with open(os.path.join(self.dist, "conf", "workers"), "w") as f:
            f.write("localhost\n" * task_managers)
        self.start_seconds = None
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("FLINK_")}

    def __enter__(self):
        begin = time.monotonic()
        self._script("start-cluster.sh")
        self.start_seconds = time.monotonic() - begin
        return self

    def __exit__(self, *_):
        self._script("stop-cluster.sh")
        shutil.rmtree(self.root, ignore_errors=True)

    def _script(self, name):
        subprocess.run([os.path.join(self.dist, "bin", name)], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, env=self._environment)

    def pids(self, name):
        """Processes of this copy whose executable is bin/<name>, oldest first."""
        wanted = os.path.join(os.path.realpath(self.dist), "bin", name)
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    if os.readlink(f"/proc/{entry}/exe") == wanted:
                        found.append(int(entry))
                except OSError:
                    pass
        return sorted(found)

    def children(self, name):
        """Child processes of all processes bin/<name>, also those that are only just ending."""
        parents = set(self.pids(name))
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as f:
                        if int(f.read().rsplit(")", 1)[1].split()[1]) in parents:
                            found.append(int(entry))
                except OSError:
                    pass
        return found

    def cpu(self):
        """CPU seconds so far of JobManager, TaskManagers and all executors that have ended."""
        return (sum(cpu_seconds(p, False) for p in self.pids("jobmanager")) +
                sum(cpu_seconds(p, True) for p in self.pids("taskmanager")))

    def flink(self, *arguments, check=True):
        return subprocess.run([os.path.join(self.dist, "bin", "flink"), *map(str, arguments)],
                              check=check, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._environment)

    def run_detached(self, *arguments):
        text = self.flink("run", "-d", *arguments).stdout
        return re.search(r"JobID ([0-9a-f]{32})", text).group(1)

    def get(self, path):
        return get(self.rest_port, path)

    @staticmethod
    def wait_for(what, condition, seconds=120.0, interval=0.01):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(interval)
        raise RuntimeError(f"not seen within {seconds:.0f} s: {what}")

    def job_state(self, job):
        return self.get(f"/jobs/{job}/status").get("status")
