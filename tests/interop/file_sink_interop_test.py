#!/usr/bin/env python3
"""The text file sink here and FileSink of a real Apache Flink 1.20 take over each other's files.

    file_sink_interop_test.py --dist BUILD/dist --jobs DIRECTORY --same-state BINARY [unittest arguments]

Skipped as interop_test.py is."""

import glob
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]

import interop_test  # noqa: E402
from interop_test import TestWithClusters, lines, savepoint_path, setUpModule  # noqa: E402, F401

COUNT = 300_000
NEVER = 3_600_000
PART_OF_FLINK = re.compile(r"part-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d+$")


def hidden(directory):
    return glob.glob(os.path.join(directory, ".part-*"))


def lines_of_flink(directory):
    found = []
    for name in os.listdir(directory):
        if PART_OF_FLINK.match(name):
            with open(os.path.join(directory, name)) as f:
                found += f.read().splitlines()
    return found


class FileSinkInteropTest(TestWithClusters):
    def run_in_flink(self, output, per_millisecond, parallelism, interval, policy, savepoint=None):
        """Nothing that the savepoint holds may be left over."""
        return self.peer.rest.run(self.peer.jar, "interop.Lines",
                                  [str(COUNT), output, str(per_millisecond), str(parallelism), str(interval), policy],
                                  "file://" + savepoint if savepoint else None, allow=False)

    def sink_state(self, savepoint):
        """What the sinks of a snapshot keep, by name; our code writes the same bytes as stand there."""
        done = subprocess.run([interop_test.OPTIONS.same_state, savepoint], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return {name: int(number) for name, number in re.findall(r"([a-z ]+) (\d+)(?:, |$)", done.stdout.strip())}

    def assert_every_line_once(self, found):
        self.assertEqual(len(found), COUNT)
        self.assertEqual(sorted(map(int, found)), list(range(COUNT)))

    def test_flink_publishes_our_files_and_goes_on(self):
        for ours, flink, policy in ((3, 1, "default"), (1, 3, "checkpoint")):
            output = self.path(f"output-{ours}")
            job = self.ours.run_detached("-p", ours, f"-Dexecution.checkpointing.interval={NEVER} ms", self.job, "--case",
                                         "lines", "--count", COUNT, "--output", output, "--rate", 20000)
            self.ours.wait_for("files", lambda: len(hidden(output)) == ours)
            self.ours.flink("checkpoint", job)
            self.ours.wait_for("published files", lambda: len(glob.glob(output + "/part-*")) == ours)
            # All write again: the savepoint has a file of each.
            self.ours.wait_for("new files", lambda: len(hidden(output)) == ours)
            savepoint = savepoint_path(self.ours.flink("savepoint", job, self.path("savepoints")).stdout)
            self.ours.flink("cancel", job)
            self.ours.wait_for("the end", lambda: self.ours.job_state(job) == "CANCELED")
            before = len(lines(output))
            state = self.sink_state(savepoint)
            self.assertEqual((state["committers"], state["buckets"], state["pending"]), (ours, ours, ours), state)
            restored = self.run_in_flink(output, 0, flink, 300, policy, savepoint)
            self.peer.rest.wait(restored, ("FINISHED",), 120)
            self.assertLess(before, COUNT)
            self.assert_every_line_once(lines(output))
            self.assertGreater(len(lines_of_flink(output)), 0)
            self.assertEqual(hidden(output), [])

    def test_we_publish_files_of_flink_that_rolls_with_checkpoints_and_go_on(self):
        for ours in (3, 1):
            output = self.path(f"output-{ours}")
            savepoint, files = self.savepoint_of_flink(output, "checkpoint")
            state = self.sink_state(savepoint)
            self.assertEqual((state["committers"], state["buckets"], state["pending"], state["in progress"]),
                             (2, 2, 2, 0), state)
            self.finish(savepoint, output, ours)
            self.assert_every_line_once(lines(output))
            # What is hidden now Flink began behind its savepoint.
            self.assertEqual([name for name in files if os.path.exists(name)], [])

    def test_we_take_over_files_that_flink_was_writing(self):
        for ours in (3, 1):
            output = self.path(f"output-{ours}")
            savepoint, files = self.savepoint_of_flink(output, "default")
            state = self.sink_state(savepoint)
            self.assertEqual((state["committers"], state["buckets"], state["pending"], state["in progress"]),
                             (2, 2, 0, 2), state)
            sizes = {name: os.path.getsize(name) for name in files}
            self.finish(savepoint, output, ours)
            self.assert_every_line_once(lines(output))
            # They stay as they are, so that the savepoint can be restored once more.
            self.assertEqual({name: os.path.getsize(name) for name in hidden(output)}, sizes)
            other = self.path(f"other-{ours}")
            self.finish(savepoint, other, ours)
            self.assert_every_line_once(lines_of_flink(output) + lines(other))

    def savepoint_of_flink(self, output, policy):
        """Of a job that writes on behind a checkpoint and is then cancelled; with the hidden files that it names."""
        job = self.run_in_flink(output, 5, 2, NEVER, policy)
        self.peer.rest.wait(job, ("RUNNING",), 60)
        self.ours.wait_for("files of Flink", lambda: len(hidden(output)) == 2)
        self.peer.rest.checkpoint(job)
        if policy == "checkpoint":
            self.ours.wait_for("published files of Flink", lambda: len(lines_of_flink(output)) > 0)
            self.ours.wait_for("new files of Flink", lambda: len(hidden(output)) == 2)
        files = hidden(output)
        savepoint = self.cancel_in_flink(job)
        return savepoint, files

    def finish(self, savepoint, output, parallelism):
        done = self.ours.flink("run", "-p", parallelism, "-Dexecution.checkpointing.interval=300 ms", "-s", savepoint,
                               self.job, "--case", "lines", "--count", COUNT, "--output", output, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    interop_test.main(__doc__, "same-state")
