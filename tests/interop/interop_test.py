#!/usr/bin/env python3
"""Savepoints between this system and a real Apache Flink 1.20, both ways.

    interop_test.py --dist BUILD/dist --jobs DIRECTORY --expected BINARY --splits BINARY [unittest arguments]

$PEER is a directory in which ../shared/interop/peer has installed Flink ("peer install"). Without it, without a JDK
or without that folder beside the source tree the test is skipped: exit code 77."""

import argparse
import glob
import json
import os
import subprocess
import sys
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, "benchmarks"))

from cluster import Cluster  # noqa: E402
from flink_peer import SHARED, FlinkPeer, missing  # noqa: E402

OPTIONS = None
PEER = None
OURS = None
KEYS = 60
COUNT = 400_000


class Peer(FlinkPeer):
    """With the jobs of this directory."""

    def __init__(self):
        super().__init__(os.path.join(SOURCE, "tests", "interop"))

    def sums(self, output, per_millisecond, parallelism, backend, savepoint=None):
        """Starts the Java job; with a savepoint it drops the state of operators that it does not have."""
        return self.rest.run(self.jar, "interop.Sums",
                             [str(COUNT), output, str(per_millisecond), str(parallelism), backend],
                             "file://" + savepoint if savepoint else None, allow=bool(savepoint))

    def restore_check(self, savepoint, expected, parallelisms):
        """Output of restore_check, and whether all went well; on both backends."""
        done = subprocess.run([os.path.join(SHARED, "restore_check"), savepoint, expected, "-a", "-p", parallelisms],
                              env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode == 0, done.stdout


def lines(directory):
    found = []
    for name in glob.glob(os.path.join(directory, "**", "part-*"), recursive=True):
        with open(name) as f:
            found += f.read().splitlines()
    return found


def savepoint_path(text):
    for word in text.split():
        if word.startswith("file:/"):
            return word[len("file:"):].rstrip(".")
    raise AssertionError("no savepoint in: " + text)


def setUpModule():
    """A cluster of each kind for all tests."""
    global PEER, OURS
    PEER = unittest.enterModuleContext(Peer())
    OURS = unittest.enterModuleContext(Cluster(OPTIONS.dist, slots=8))


class TestWithClusters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peer, cls.ours = PEER, OURS
        cls.job = os.path.join(OPTIONS.jobs, "StateTypesJob.so")

    def path(self, name):
        return os.path.join(self.ours.root, self.id().rsplit(".", 1)[1] + "-" + name)

    def records_written(self, job):
        vertices = self.ours.get(f"/jobs/{job}")["vertices"]
        return vertices[0]["metrics"]["write-records"] if vertices else 0

    def stop(self, job):
        return savepoint_path(self.ours.flink("stop", "-p", self.path("savepoints"), job).stdout)

    def cancel_in_flink(self, job):
        """With a savepoint; in one step, lest a checkpoint between both publishes more. Its path."""
        savepoint = self.peer.rest.trigger(job, "savepoints", {"target-directory": "file://" + self.path("savepoints"),
                                                               "cancel-job": True, "formatType": "CANONICAL"},
                                           "location")
        self.peer.rest.wait(job, ("CANCELED",), 60)
        return savepoint.removeprefix("file:")

    def flink_records_written(self, job):
        vertices = self.peer.rest.call(f"/jobs/{job}")["vertices"]
        return vertices[0]["metrics"]["write-records"]


class InteropTest(TestWithClusters):
    def check(self, savepoint, expected):
        name = self.path("expected.json")
        with open(name, "w") as f:
            json.dump(expected, f)
        fine, text = self.peer.restore_check(savepoint, name, "1,3")
        self.assertTrue(fine, text)
        self.assertEqual(text.count("OK  "), 4, text)

    def assert_rest_is_counted(self, output):
        """Each word's sums go on without a gap, and end where all COUNT numbers have been counted once."""
        sums = {}
        for line in lines(output):
            word, number = line.split(",")
            sums.setdefault(word, []).append(int(number))
        self.assertEqual(len(sums), 97)
        for word, numbers in sums.items():
            total = len(range(int(word[1:]), COUNT, 97))
            self.assertEqual(sorted(numbers), list(range(min(numbers), total + 1)), word)
        # Not from the beginning.
        self.assertGreater(min(min(numbers) for numbers in sums.values()), 1)

    def test_states_of_all_types_restore_in_flink_on_both_backends(self):
        for backend, parallelism in (("rocksdb", 3), ("hashmap", 1)):
            job = self.ours.run_detached("-p", parallelism, f"-Dstate.backend.type={backend}", self.job,
                                         "--case", "write", "--keys", KEYS, "--rate", 20000)
            self.ours.wait_for("all keys", lambda: self.records_written(job) > 3 * KEYS)
            expected = json.loads(subprocess.check_output([OPTIONS.expected, str(KEYS), str(parallelism)]))
            self.check(self.stop(job), expected)

    def test_word_count_restores_in_flink_on_both_backends(self):
        os.makedirs(self.path("input"))
        with open(self.path("input") + "/text", "w") as f:
            for i in range(200_000):
                f.write(f"the word{i % 5003} and word{i % 7} of line {i % 40009}\n")
        output = self.path("output")
        job = self.ours.run_detached("-p", 2, "-Dexecution.checkpointing.interval=300 ms",
                                     os.path.join(self.ours.dist, "examples", "WordCount.so"), "--input",
                                     self.path("input"), "--output", output, "--rate", 10000)
        self.ours.wait_for("committed output", lambda: lines(output))
        savepoint = self.stop(job)
        counts = {}
        for line in lines(output):
            word, count = line.rsplit(",", 1)
            counts[word] = max(counts.get(word, 0), int(count))
        state = {"name": "_op_state", "kind": "VALUE", "type": "Tuple2<String,Integer>", "namespaceType": "Void",
                 "ttl": False, "entries": [{"key": w, "value": [w, n]} for w, n in counts.items()]}
        self.check(savepoint, {"operators": [{"uid": "count", "what": "keyed", "parallelism": 2,
                                              "maxParallelism": 128, "keyType": "String", "states": [state]}]})

    def test_flink_goes_on_exactly_from_our_savepoint(self):
        job = self.ours.run_detached("-p", 2, self.job, "--case", "sums", "--count", COUNT, "--output",
                                     self.path("ours"), "--rate", 20000)
        self.ours.wait_for("many records", lambda: self.records_written(job) > 20000)
        savepoint = self.stop(job)
        for backend, parallelism in (("hashmap", 3), ("rocksdb", 1)):
            output = self.path("flink-" + backend)
            restored = self.peer.sums(output, 0, parallelism, backend, savepoint)
            self.peer.rest.wait(restored, ("FINISHED",), 120)
            self.assert_rest_is_counted(output)

    def test_we_go_on_exactly_from_a_savepoint_of_flink(self):
        for backend, ours, parallelism in (("hashmap", "rocksdb", 3), ("rocksdb", "hashmap", 1)):
            job = self.peer.sums(self.path("flink-" + backend), 10, 2, backend)
            self.peer.rest.wait(job, ("RUNNING",), 60)
            self.ours.wait_for("many records", lambda: self.flink_records_written(job) > 20000)
            savepoint = self.cancel_in_flink(job)
            output = self.path("ours-" + backend)
            text = self.ours.flink("run", "-p", parallelism, f"-Dstate.backend.type={ours}", "-s", savepoint, self.job,
                                   "--case", "sums", "--count", COUNT, "--output", output, check=False)
            self.assertEqual(text.returncode, 0, text.stdout)
            self.assert_rest_is_counted(output)


class TextFileSourceTest(TestWithClusters):
    """TextFilesJob and TextFiles.java: running sums of the numbers in text files, by word."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.job = os.path.join(OPTIONS.jobs, "TextFilesJob.so")
        cls.input = os.path.join(cls.ours.root, "input")
        os.makedirs(os.path.join(cls.input, "below"))
        cls.totals = {}
        cls.count = 0
        for name, count, end in (("a.txt", 50_000, "\n"), ("b", 40_000, "\r\n"), ("below/é ü.txt", 60_000, "\n"),
                                 ("below/one line", 1, ""), ("z", 49_999, "\n")):
            cls.write(name, count, end)

    @classmethod
    def write(cls, name, count, end):
        """The last line ends with the file."""
        with open(os.path.join(cls.input, name), "w", newline="") as f:
            for i in range(count):
                cls.count += 1
                word = f"w{cls.count % 97}"
                cls.totals[word] = cls.totals.get(word, 0) + cls.count
                f.write(f"{word} {cls.count}" + (end if i + 1 < count else ""))

    def ours_to_savepoint(self, parallelism, records, *arguments, source=None, rate=40_000):
        """Stops a job after about so many records."""
        job = self.ours.run_detached("-p", parallelism, self.job, "--input", source or self.input, "--rate",
                                     rate // parallelism, *arguments)
        self.ours.wait_for("many records", lambda: self.records_written(job) > records)
        return self.stop(job)

    def flink(self, output, per_millisecond, parallelism, backend, savepoint=None, source=None, options=()):
        """Starts the Java job. It has all state of the savepoint, or does not start."""
        return self.peer.rest.run(self.peer.jar, "interop.TextFiles",
                                  [source or self.input, output, str(per_millisecond), str(parallelism), backend,
                                   *options],
                                  "file://" + savepoint if savepoint else None)

    def flink_to_savepoint(self, parallelism, backend, savepoint=None, options=(), output=None):
        """Stops the Java job in the middle: it is slow, because Flink's metrics are up to ten seconds old."""
        job = self.flink(output or self.path("flink-" + backend), 2, parallelism, backend, savepoint, options=options)
        self.peer.rest.wait(job, ("RUNNING",), 60)
        self.ours.wait_for("many records", lambda: self.flink_records_written(job) > 5000)
        return self.cancel_in_flink(job)

    def restore(self, output, savepoint, parallelism, backend="rocksdb"):
        """Goes on here to the end."""
        return self.ours.flink("run", "-p", parallelism, f"-Dstate.backend.type={backend}", "-s", savepoint, self.job,
                               "--input", self.input, "--output", output, check=False)

    def finish(self, savepoint, parallelism, backend="rocksdb", output=None):
        """Goes on here to the end, well; returns the output's directory."""
        output = output or self.path("ours-" + backend)
        done = self.restore(output, savepoint, parallelism, backend)
        self.assertEqual(done.returncode, 0, done.stdout)
        return output

    def assert_rest_is_summed(self, output):
        """With what came before, each line has been counted once."""
        sums = {}
        for line in lines(output):
            word, number = line.split(",")
            sums.setdefault(word, []).append(int(number))
        self.assertEqual({word: max(numbers) for word, numbers in sums.items()}, self.totals)
        self.assertLess(sum(map(len, sums.values())), self.count)

    def test_flink_goes_on_exactly_in_the_middle_of_our_files(self):
        for ours, arguments, theirs in ((1, (), (("hashmap", 3), ("rocksdb", 1))),
                                        (2, ("--whole-files",), (("hashmap", 1), ("rocksdb", 2)))):
            savepoint = self.ours_to_savepoint(ours, 70_000, *arguments)
            for backend, parallelism in theirs:
                output = self.path(f"flink-{ours}-{backend}")
                restored = self.flink(output, 0, parallelism, backend, savepoint)
                self.peer.rest.wait(restored, ("FINISHED",), 120)
                self.assert_rest_is_summed(output)

    def test_we_go_on_exactly_in_the_middle_of_flinks_files(self):
        for backend, ours, parallelisms in (("hashmap", "rocksdb", (2, 3)), ("rocksdb", "hashmap", (1, 2))):
            savepoint = self.flink_to_savepoint(parallelisms[0], backend)
            checked = subprocess.run([OPTIONS.splits, savepoint], text=True, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(checked.returncode, 0, checked.stdout)
            waiting, begun = map(int, checked.stdout.split())
            self.assertGreater(waiting, 0)
            self.assertGreater(begun, 0)
            self.assert_rest_is_summed(self.finish(savepoint, parallelisms[1], ours))

    def test_a_file_that_was_begun_here_and_in_flink_ends_here(self):
        savepoint = self.flink_to_savepoint(1, "hashmap", self.ours_to_savepoint(1, 30_000))
        self.assert_rest_is_summed(self.finish(savepoint, 2))

    def test_every_line_written_by_both_in_turn_appears_once(self):
        """Files are read and written: ours, Flink, ours, with all state each time."""
        output = self.path("output")
        savepoint = self.ours_to_savepoint(1, 30_000, "--output", output)
        savepoint = self.flink_to_savepoint(2, "rocksdb", savepoint, output=output)
        self.finish(savepoint, 3, output=output)
        words = [line.split(",")[0] for line in lines(output)]
        self.assertEqual({word: words.count(word) for word in self.totals},
                         {word: self.count // 97 + (int(word[1:]) in range(1, self.count % 97 + 1))
                          for word in self.totals})
        self.assertEqual(len(set(lines(output))), self.count)

    def test_we_refuse_a_source_that_watches_a_directory(self):
        savepoint = self.flink_to_savepoint(1, "hashmap", options=("watch",))
        refused = self.restore(self.path("ours"), savepoint, 1)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("it watches a directory for new files and has seen 5;", refused.stdout)
        self.assertEqual(lines(self.path("ours")), [])

    def test_flink_refuses_a_range_that_ends_within_its_file(self):
        savepoint = self.ours_to_savepoint(2, 50_000, "--split-bytes", 100_000)
        restored = self.flink(self.path("flink"), 0, 2, "hashmap", savepoint)
        with self.assertRaisesRegex(RuntimeError, "SimpleStreamFormat is not splittable"):
            self.peer.rest.wait(restored, ("FINISHED",), 120)
        self.assert_rest_is_summed(self.finish(savepoint, 3))

    def test_flink_reads_the_last_range_of_a_file(self):
        source = os.path.join(self.input, "below", "é ü.txt")
        half = os.path.getsize(source) // 2 + 1
        savepoint = self.ours_to_savepoint(1, 35_000, "--split-bytes", half, source=source, rate=10_000)
        output = self.path("flink")
        self.peer.rest.wait(self.flink(output, 0, 1, "hashmap", savepoint, source), ("FINISHED",), 120)
        sums = {}
        for line in lines(output):
            word, number = line.split(",")
            sums[word] = max(sums.get(word, 0), int(number))
        expected = {}
        with open(source) as f:
            for line in f:
                word, number = line.split()
                expected[word] = expected.get(word, 0) + int(number)
        self.assertEqual(sums, expected)


def main(description, *binaries):
    """Runs the tests of the script; `binaries` are the options that name those it needs."""
    global OPTIONS
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dist", "jobs", *binaries):
        parser.add_argument("--" + name, required=True)
    OPTIONS, rest = parser.parse_known_args()
    if missing():
        print("skipped:", missing())
        sys.exit(77)
    unittest.main(argv=[sys.argv[0]] + rest, verbosity=2)


if __name__ == "__main__":
    main(__doc__, "expected", "splits")
