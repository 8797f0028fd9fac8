#!/usr/bin/env python3
"""Runs the benchmarks on real clusters and prints one line per figure: name, value, unit.

Throughput is records per CPU second of all processes (JobManager, TaskManagers, task executors); every throughput run's
result is compared with a sum computed independently.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, rss_megabytes  # noqa: E402
from snapshot_figures import FlinkSnapshotFigures, SnapshotFigures  # noqa: E402


class Bench:
    def __init__(self, build, dist, scale):
        self.build, self.dist, self.scale = build, dist, scale
        self.job = os.path.join(build, "benchmarks", "BenchmarkJob.so")
        self.figures = []

    def report(self, name, value, unit, note=""):
        self.figures.append({"name": name, "value": value, "unit": unit})
        print(f"{name:<24} {value:>14.4g} {unit}{'  (' + note + ')' if note else ''}", flush=True)

    def tool(self, name, *arguments):
        return subprocess.run([os.path.join(self.build, "benchmarks", name), *map(str, arguments)],
                              check=True, text=True, stdout=subprocess.PIPE).stdout.split()

    def throughput(self, cluster, parallelism, *arguments):
        """Runs a job to its end; (records, sum, CPU seconds, wall seconds)."""
        result = os.path.join(cluster.root, "result")
        cpu, wall = cluster.cpu(), time.monotonic()
        job = cluster.run_detached("-p", parallelism, self.job, *arguments, "--result", result)
        cluster.wait_for("the end of the job", lambda: cluster.job_state(job) in
                         ("FINISHED", "FAILED", "CANCELED"), 900, 0.1)
        wall = time.monotonic() - wall
        if cluster.job_state(job) != "FINISHED":
            raise RuntimeError(json.dumps(cluster.get(f"/jobs/{job}/exceptions"))[:2000])
        cluster.wait_for("the end of the executors", lambda: not cluster.children("taskmanager"), 60)
        records = total = 0
        for subtask in range(parallelism):
            with open(f"{result}.{subtask}") as f:
                r, s = map(int, f.read().split())
            records += r
            total = (total + s) % 2**64
        return records, total, cluster.cpu() - cpu, wall

    # -- figures -------------------------------------------------------------------------------------------------

    def chain(self):
        count = int(6_400_000_000 * self.scale)
        with Cluster(self.dist) as c:
            records, total, cpu, wall = self.throughput(c, 1, "--case", "chain", "--count", count)
        # 3x+1 mod 8 runs through all residues with x mod 8: one of eight consecutive numbers is dropped.
        whole, rest = divmod(count, 8)
        kept = [x for x in range(1, 9) if (3 * x + 1) % 8 != 0]
        expected_records = whole * 7 + sum(1 for x in kept if x <= rest)
        expected = sum(3 * x + 1 for x in kept) * whole + 3 * 8 * 7 * (whole * (whole - 1) // 2)
        expected += sum(3 * (8 * whole + x) + 1 for x in kept if x <= rest)
        check("chain", (records, total), (expected_records, expected % 2**64))
        self.report("chain", count / cpu, "records/CPU-s", f"{wall:.1f} s, {cpu:.1f} CPU-s")

    def keyed(self, name, count, keys, distribution, memory, extra=None):
        count = int(count * self.scale)
        settings = {"taskmanager.memory.managed.size": memory,
                    "execution.checkpointing.interval": "10 s", "state.backend.type": "rocksdb"}
        settings.update(extra or {})
        with Cluster(self.dist, config=settings) as c:
            records, total, cpu, wall = self.throughput(
                c, 1, "--case", "keyed", "--count", count, "--keys", keys, "--distribution", distribution)
        expected = list(map(int, self.tool("expected_sum", count, keys, distribution)))
        check(name, [records, total], expected)
        self.report(name, count / cpu, "records/CPU-s",
                    f"{wall:.1f} s, {cpu:.1f} CPU-s, checkpoint every 10 s, RocksDB {rocksdb_version()}")
        return count / cpu

    def keyed_100k(self):
        self.keyed("keyed_100k", 600_000_000, 100_000, "uniform", "512m")

    def keyed_10m_rocksdb(self):
        self.keyed("keyed_10m_rocksdb", 150_000_000, 10_000_000, "uniform", "2g")

    def keyed_10m_zipf(self):
        # Both sides begin with all keys loaded; what the loading took is measured by a run of its own and taken off.
        # The memory holds a tenth of the keys: 1 M entries of 24 bytes in a table that is two thirds full, and the
        # store's own caches beside it.
        count, keys, memory = int(20_000_000 * self.scale), 10_000_000, "58m"
        settings = {"taskmanager.memory.managed.size": memory,
                    "execution.checkpointing.interval": "10 s", "state.backend.type": "rocksdb"}
        used = []
        for records in (0, count):
            with Cluster(self.dist, config=settings) as c:
                got = self.throughput(c, 1, "--case", "keyed", "--count", records, "--keys", keys,
                                      "--distribution", "zipf", "--preload")
            expected = list(map(int, self.tool("expected_sum", records, keys, "zipf", "preload")))
            check("keyed_10m_zipf", list(got[:2]), expected)
            used.append(got)
        cpu = used[1][2] - used[0][2]
        ours = count / cpu
        self.report("keyed_10m_zipf_rate", ours, "records/CPU-s",
                    f"{used[1][3] - used[0][3]:.1f} s, {cpu:.1f} CPU-s, managed memory {memory}, checkpoint every 10 s, "
                    f"RocksDB {rocksdb_version()}")
        with tempfile.TemporaryDirectory() as directory:
            _, _, cpu, _ = self.tool("plain_rocksdb", directory, int(2_000_000 * self.scale),
                                     10_000_000, 128, "zipf")
        plain = 2_000_000 * self.scale / float(cpu)
        self.report("keyed_10m_zipf", ours / plain, "x plain RocksDB", f"plain: {plain:,.0f} records/CPU-s")

    def shuffle_vs_socket(self):
        count = int(1_500_000_000 * self.scale)
        with Cluster(self.dist, task_managers=2, slots=1) as c:
            records, total, cpu, wall = self.throughput(c, 2, "--case", "shuffle", "--count", count)
        check("shuffle", (records, total), (count, count))
        raw = self.tool("raw_socket", count)
        check("raw socket", (int(raw[0]), int(raw[1])),
              (count, (count * (count - 1) // 2 + count) % 2**64))
        raw_rate = count / float(raw[4])
        self.report("shuffle_rate", count / cpu, "records/CPU-s", f"{wall:.1f} s, half of the records cross")
        self.report("shuffle_vs_socket", count / cpu / raw_rate, "x raw socket",
                    f"raw socket: {raw_rate:,.0f} records/CPU-s")

    def run_to_running(self):
        seconds = []
        with Cluster(self.dist) as c:
            for _ in range(5):
                begin = time.monotonic()
                job = c.run_detached(self.job, "--case", "state", "--count", 10**9, "--keys", 10,
                                     "--rate", 10, "--events", os.path.join(c.root, "events"))
                c.wait_for("RUNNING", lambda: c.job_state(job) == "RUNNING", 30, 0.002)
                seconds.append(time.monotonic() - begin)
                c.flink("cancel", job)
                c.wait_for("CANCELED", lambda: c.job_state(job) == "CANCELED", 30)
                c.wait_for("a free slot", lambda: not c.children("taskmanager"), 30)
        self.report("run_to_running", statistics.median(seconds), "s")

    def list(self):
        with Cluster(self.dist) as c:
            c.flink("list")
            seconds = []
            for _ in range(11):
                begin = time.monotonic()
                c.flink("list")
                seconds.append(time.monotonic() - begin)
        self.report("list", statistics.median(seconds), "s")

    def cluster_start(self):
        seconds, rss = [], None
        for _ in range(3):
            with Cluster(self.dist, task_managers=2) as c:
                c.wait_for("two TaskManagers", lambda: c.get("/overview")["taskmanagers"] == 2, 10, 0.001)
                seconds.append(c.start_seconds)
                rss = (rss_megabytes(c.pids("jobmanager")[0]), rss_megabytes(c.pids("taskmanager")[0]))
        self.report("cluster_start", statistics.median(seconds), "s", "start-cluster.sh with two TaskManagers registered")
        self.report("rss_jobmanager", rss[0], "MB", "idle")
        self.report("rss_taskmanager", rss[1], "MB", "idle")

    def recovery(self):
        keys, value = int(1_000_000 * min(self.scale, 1)), 1000
        settings = {"taskmanager.memory.managed.size": "512m", "state.backend.type": "rocksdb",
                    "restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "0 s",
                    "restart-strategy.fixed-delay.attempts": 100}
        with Cluster(self.dist, task_managers=2, config=settings) as c:
            events = os.path.join(c.root, "events")
            job = c.run_detached(self.job, "--case", "state", "--count", 10**10, "--keys", keys,
                                 "--value-bytes", value, "--rate", 60_000, "--events", events)
            c.wait_for("RUNNING", lambda: c.job_state(job) == "RUNNING", 30)
            time.sleep(keys / 60_000 + 3)
            print(c.flink("checkpoint", job).stdout.strip().splitlines()[-2], file=sys.stderr)
            executor = c.pids("task-executor")[0]
            with open(f"/proc/{executor}/stat") as f:
                victim = int(f.read().rsplit(")", 1)[1].split()[1])
            killed = time.time()
            os.kill(victim, signal.SIGKILL)
            c.wait_for("a record of the next attempt", lambda: len(open(events).readlines()) > 1, 60, 0.001)
            seconds = int(open(events).readlines()[1].split()[0]) / 1000 - killed
            size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(c.checkpoints) for f in fs)
            c.flink("cancel", job)
        self.report("recovery", seconds, "s", f"{size / 1e9:.2f} GB in the checkpoint directory")

    def snapshots(self):
        SnapshotFigures(self).run()

    def flink_snapshots(self):
        FlinkSnapshotFigures(self).run()


def check(what, got, expected):
    if tuple(got) != tuple(expected):
        raise RuntimeError(f"{what}: the result is wrong: {got}, expected {expected}")


def rocksdb_version():
    text = subprocess.run(["dpkg-query", "-W", "-f", "${Version} (Debian's package, assertions on)", "librocksdb7.8"],
                          text=True, stdout=subprocess.PIPE).stdout
    return text or "of this system"


NAMES = ["chain", "keyed_100k", "keyed_10m_rocksdb", "keyed_10m_zipf", "shuffle_vs_socket", "run_to_running", "list",
         "cluster_start", "recovery", "snapshots"]
# Of the real Apache Flink: they need it in $PEER, a JDK and ../shared/interop.
FLINK_NAMES = ["flink_snapshots"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--dist", required=True)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--only", nargs="*", choices=NAMES + FLINK_NAMES)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the records (for a quick look)")
    options = parser.parse_args()
    bench = Bench(options.build, options.dist, options.scale)
    failed = []
    names = options.only or NAMES
    for number, name in enumerate(names, 1):
        print(f"{time.strftime('%T')} [{number}/{len(names)}] {name}", file=sys.stderr, flush=True)
        try:
            getattr(bench, name)()
        except Exception as e:  # One broken figure must not hide the others.
            failed.append(name)
            print(f"{name}: FAILED: {e}", file=sys.stderr, flush=True)
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"figures": bench.figures}, f, indent=1)
            f.write("\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
