"""Snapshots of 1 GB of RocksDB state: 1 M keys of 1 kB, two subtasks.

A first job counts numbers in the keys' values at full speed until every key has one. All figures come from jobs that go
on from its savepoint, and in the end a job reads every value back: each must hold what the source says it has counted.
FlinkSnapshotFigures are the same of a real Apache Flink with the same settings (its values are not read back).
"""

import http.client
import json
import os
import shutil
import statistics
import time

from cluster import Cluster, get
from flink_peer import FlinkPeer, missing

SETTINGS = {"taskmanager.memory.managed.size": "1g", "state.backend.type": "rocksdb",
            "execution.checkpointing.incremental": "true"}
KEYS, VALUE_BYTES = 1_000_000, 1000
LOAD = 50_000             # Records a second and subtask while snapshots are timed; each changes a value of 1 kB.
PROGRESS = 10_000         # Records between two lines of the progress file.
TRIALS = 3


class SnapshotFigures:
    PREFIX = ""

    def __init__(self, bench):
        self.bench = bench
        self.keys = int(KEYS * min(bench.scale, 1))
        self.count = 2 * self.keys * 10**6  # Either split is a whole number of rounds through the keys.

    def run(self):
        with self.cluster() as c:
            self.c, self.runs = c, 0
            loaded = self.load()
            job = self.restore("restore_native", loaded)
            self.checkpoints(job)
            self.savepoints("savepoint_native", job, "NATIVE", keep=False)
            canonical = self.savepoints("savepoint_canonical", job, "CANONICAL", keep=True)
            self.end(job)
            job = self.restore("restore_canonical", canonical)
            self.end(job)
            self.drag(canonical)

    def report(self, name, values, unit, note):
        load = f"load average {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
        spread = f"{min(values):.3g} to {max(values):.3g}, {len(values)} times, "
        self.bench.report(self.PREFIX + name, statistics.median(values), unit, spread + note + load)

    # -- the cluster and its jobs --------------------------------------------------------------------------------

    def cluster(self):
        return Cluster(self.bench.dist, slots=2, config=SETTINGS)

    def start(self, savepoint=None, rate=0):
        """Starts the job; its id. self.events and self.progress are its files."""
        self.runs += 1
        self.events = os.path.join(self.c.root, f"events-{self.runs}")
        self.progress = os.path.join(self.c.root, f"progress-{self.runs}")
        return self.submit(savepoint, ["--count", self.count, "--keys", self.keys, "--value-bytes", VALUE_BYTES,
                                       "--rate", rate, "--events", self.events, "--progress", self.progress])

    def submit(self, savepoint, arguments):
        restored = ["-s", savepoint] if savepoint else []
        return self.c.run_detached("-p", 2, *restored, self.bench.job, "--case", "state", *arguments)

    def wait_for_slots(self):
        Cluster.wait_for("a free slot", lambda: not self.c.children("taskmanager"), 60)

    def end(self, job):
        connection = http.client.HTTPConnection("localhost", self.c.rest_port, timeout=60)
        connection.request("PATCH", f"/jobs/{job}")
        connection.getresponse().read()
        connection.close()
        self.wait_for_slots()

    def load(self):
        job = self.start()
        Cluster.wait_for("all keys", lambda: self.records() >= 2.2 * self.keys, 300, 0.1)
        return self.stop(job)

    def stop(self, job):
        answer = self.operate(f"/jobs/{job}/stop", {"formatType": "NATIVE"}, f"/jobs/{job}/savepoints")
        self.wait_for_slots()
        return answer["location"].removeprefix("file:")

    def records(self):
        return len(self.notes(self.progress)) * PROGRESS

    @staticmethod
    def notes(name):
        if not os.path.exists(name):
            return []
        with open(name) as f:
            return [int(line.split()[0]) / 1000 for line in f]

    # -- figures -------------------------------------------------------------------------------------------------

    def restore(self, name, savepoint):
        """Times `flink run -s` to the first record, and leaves the last of the jobs running."""
        seconds, job = [], None
        for _ in range(TRIALS):
            if job is not None:
                self.end(job)
            begin = time.time()
            job = self.start(savepoint, rate=LOAD)
            Cluster.wait_for("a record", lambda: self.notes(self.events), 120, 0.002)
            seconds.append(min(self.notes(self.events)) - begin)
            Cluster.wait_for("all tasks", lambda: self.runs_everywhere(job), 60, 0.1)
        self.report(name, seconds, "s", "")
        return job

    def checkpoints(self, job):
        """Incremental checkpoints under load; the first one after a restore, which is full, does not count."""
        self.operate(f"/jobs/{job}/checkpoints", {"checkpointType": "CONFIGURED"})
        sync, whole = [], []
        for _ in range(2 * TRIALS):
            before = self.records()
            Cluster.wait_for("a second of load", lambda: self.records() >= before + LOAD, 60, 0.05)
            begin = time.monotonic()
            answer = self.operate(f"/jobs/{job}/checkpoints", {"checkpointType": "CONFIGURED"})
            whole.append(time.monotonic() - begin)
            details = f"/jobs/{job}/checkpoints/details/{answer['checkpointId']}"
            # Flink says it when the statistics that it keeps for some seconds are made anew.
            Cluster.wait_for("details", lambda: "tasks" in self.get(details), 30, 0.1)
            for vertex in self.get(details)["tasks"]:
                summary = self.get(f"{details}/subtasks/{vertex}")["summary"]
                sync.append(summary["checkpoint_duration"]["sync"]["max"] / 1000)
        self.bench.report(self.PREFIX + "checkpoint_sync", max(sync), "s", "the longest of all subtasks")
        self.report("checkpoint_incremental", whole, "s", f"{2 * LOAD:,} records/s, ")

    def savepoints(self, name, job, format_type, keep):
        """Times savepoints from trigger to completed; the path of the last one."""
        seconds, path = [], None
        for _ in range(TRIALS):
            if path is not None:
                shutil.rmtree(path)
            path, elapsed, _ = self.savepoint(job, format_type)
            seconds.append(elapsed)
        size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(path) for f in fs)
        self.report(name, seconds, "s", f"{size / 1e9:.2f} GB, {2 * LOAD:,} records/s, ")
        if not keep:
            shutil.rmtree(path)
        return path

    def drag(self, savepoint):
        """Throughput at full speed during a canonical savepoint, of that before the first one.

        What a savepoint leaves to do shows between two of them: that throughput is in the note.
        """
        job = self.start(savepoint)
        Cluster.wait_for("full speed", lambda: self.records() >= self.keys, 300, 0.1)
        without = self.rate(*self.records_without_savepoint(6))
        during, between = [], []
        for _ in range(TRIALS):
            begin = time.time()
            path, elapsed, end = self.savepoint(job, "CANONICAL")
            shutil.rmtree(path)
            during.append(self.rate(begin, end) / without)
            between.append(self.rate(*self.records_without_savepoint(3)) / without)
        self.report("savepoint_drag", during, "x throughput without",
                    f"{without:,.0f} records/s without, {statistics.median(between):.2f} x between savepoints "
                    f"({min(between):.2f} to {max(between):.2f}) of {elapsed:.1f} s, ")
        self.verify(self.stop(job))

    def records_without_savepoint(self, rounds):
        """Begin and end of so many rounds through the keys."""
        begin, before = time.time(), self.records()
        Cluster.wait_for("records without a savepoint", lambda: self.records() >= before + rounds * self.keys, 300, 0.1)
        return begin, time.time()

    def rate(self, begin, end):
        return sum(begin <= n < end for n in self.notes(self.progress)) * PROGRESS / (end - begin)

    def savepoint(self, job, format_type):
        """Path, seconds, and when it was completed."""
        begin = time.monotonic()
        answer = self.operate(f"/jobs/{job}/savepoints", {"formatType": format_type})
        return answer["location"].removeprefix("file:"), time.monotonic() - begin, time.time()

    def get(self, path):
        return get(self.c.rest_port, path)

    def state(self, job):
        return self.get(f"/jobs/{job}/status").get("status")

    def runs_everywhere(self, job):
        """Flink refuses checkpoints before, although the job is RUNNING."""
        vertices = self.get(f"/jobs/{job}")["vertices"]
        return vertices and all(v["tasks"]["RUNNING"] == v["parallelism"] for v in vertices)

    def operate(self, path, body, poll=None):
        """Triggers an operation over REST and polls it without the long pauses of the command line.

        To ask all the time would take a third of a core from the job.
        """
        connection = http.client.HTTPConnection("localhost", self.c.rest_port, timeout=60)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        trigger = json.loads(connection.getresponse().read())["request-id"]
        connection.close()
        answer = {}
        def done():
            answer.update(self.get(f"{poll or path}/{trigger}"))
            return answer["status"]["id"] == "COMPLETED"
        begin = time.monotonic()
        while not done():
            if time.monotonic() - begin > 300:
                raise RuntimeError("the operation does not end")
            time.sleep(max(0.002, (time.monotonic() - begin) / 50))
        failure = answer["operation"].get("failure-cause") or answer["operation"].get("failureCause")
        if failure:
            raise RuntimeError(failure.get("stack-trace", str(failure))[:500])
        return answer["operation"]

    # -- the content of the state --------------------------------------------------------------------------------

    def verify(self, savepoint):
        result = os.path.join(self.c.root, "sums")
        job = self.c.run_detached("-p", 2, "-s", savepoint, "-n", self.bench.job, "--case", "verify",
                                  "--keys", self.keys, "--result", result)
        Cluster.wait_for("the end of the job", lambda: self.state(job) in ("FINISHED", "FAILED"), 300, 0.1)
        sums = [0] * 6
        for subtask in range(2):
            with open(f"{result}.{subtask}") as f:
                sums = [(a + int(b)) % 2**64 for a, b in zip(sums, f.read().split())]
        expected = [self.keys]
        for half in range(2):
            counted = sums[1 + 2 * half]
            rounds, rest = divmod(counted, self.keys)
            expected += [counted, rounds * (self.keys * (self.keys - 1) // 2) + rest * (rest - 1) // 2]
        expected.append(int(self.bench.tool("expected_sum", VALUE_BYTES, self.keys, "state")[0]))
        if sums != expected or min(sums[1], sums[3]) < self.keys:
            raise RuntimeError(f"the state is wrong: {sums}, expected {expected}")
        print(f"snapshots: {self.keys:,} keys hold exactly what {sums[1] + sums[3]:,} records left", flush=True)


class FlinkSnapshotFigures(SnapshotFigures):
    PREFIX = "flink_"

    def cluster(self):
        if missing():
            raise RuntimeError(missing())
        return FlinkPeer(os.path.join(os.path.dirname(os.path.abspath(__file__)), "flink"), slots=2, memory="3g",
                         config=SETTINGS)

    def submit(self, savepoint, arguments):
        return self.c.rest.run(self.c.jar, "benchmarks.State", list(map(str, arguments)), savepoint)

    def wait_for_slots(self):
        self.c.wait_for_slots()

    def verify(self, savepoint):
        pass
