"""A throw-away cluster of the real Apache Flink, for tests and figures beside it.

$PEER is a directory in which ../shared/interop/peer has installed Flink ("peer install")."""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

from cluster import Cluster, free_ports

SHARED = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "shared", "interop")


def missing():
    """What is missing to run it, or None."""
    for absent, what in ((not os.path.isdir(SHARED), SHARED + " is not there"),
                         (shutil.which("javac") is None, "there is no JDK"),
                         (not glob.glob(os.path.join(os.environ.get("PEER", ""), "lib", "flink-*.jar")),
                          "$PEER is no directory in which Apache Flink is installed (peer install)")):
        if absent:
            return what
    return None


class FlinkPeer:
    """A JobManager and a TaskManager, and the jobs of `java`, a directory of sources, in a jar. Starts on entry, stops on
    exit. One of them at a time in a process: flink_rest of ../shared/interop knows one port."""

    def __init__(self, java, slots=4, memory="1600m", config=None):
        self.root = tempfile.mkdtemp(prefix="flink-peer-")
        self.slots = slots
        os.symlink(os.path.join(os.environ["PEER"], "lib"), os.path.join(self.root, "lib"))
        self.rest_port, rpc_port = free_ports(2)
        settings = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": rpc_port,
            "jobmanager.bind-host": "localhost",
            "jobmanager.memory.process.size": "1200m",
            "taskmanager.bind-host": "localhost",
            "taskmanager.host": "localhost",
            "taskmanager.memory.process.size": memory,
            "taskmanager.numberOfTaskSlots": slots,
            "rest.address": "localhost",
            "rest.port": self.rest_port,
            "heartbeat.timeout": "300 s",
            "io.tmp.dirs": os.path.join(self.root, "tmp"),
            "execution.checkpointing.dir": "file://" + os.path.join(self.root, "checkpoints"),
            "execution.checkpointing.savepoint-dir": "file://" + os.path.join(self.root, "savepoints"),
        }
        settings.update(config or {})
        for directory in ("conf", "tmp"):
            os.makedirs(os.path.join(self.root, directory))
        with open(os.path.join(self.root, "conf", "config.yaml"), "w") as f:
            for key, value in settings.items():
                f.write(f"{key}: {value}\n")
        self.environment = dict(os.environ, PEER=self.root, PORT=str(self.rest_port), GOLD_SRC=java)

    def __enter__(self):
        self._run([os.path.join(SHARED, "restore_check"), "--build"])
        # The daemons keep what they are given: no pipe.
        subprocess.run([os.path.join(SHARED, "peer"), "start"], check=True, env=self.environment,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.environ["PORT"] = str(self.rest_port)
        if SHARED not in sys.path:
            sys.path.append(SHARED)
        import flink_rest
        self.rest = flink_rest
        self.wait_for_slots()
        self.jar = self.rest.upload(os.path.join(self.root, "gold.jar"))
        return self

    def __exit__(self, *_):
        subprocess.run([os.path.join(SHARED, "peer"), "stop"], env=self.environment,
                       stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def _run(self, words):
        return subprocess.run(words, check=True, env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def wait_for_slots(self):
        """Until all slots are free."""
        def free():
            try:
                return self.rest.call("/overview")["slots-available"] == self.slots
            except (OSError, RuntimeError):
                return False
        Cluster.wait_for("slots of Apache Flink", free, 120, 0.2)
