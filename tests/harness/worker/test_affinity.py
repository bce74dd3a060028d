"""What others do to a worker's cores is undone; and whose CPU time a process is that has lost its parent."""

import os
import subprocess
import sys
import time

import pytest

from lstm_parity.harness.machine.host import process_seconds
from lstm_parity.harness.worker.affinity import Affinity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="UNVERIFIED: asks Linux")


def test_what_another_process_does_to_a_threads_cores_is_undone():
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("UNVERIFIED: there is one core")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        affinity = Affinity(child.pid)
        affinity.restore()  # nothing is known yet
        own = {min(cores)}
        os.sched_setaffinity(child.pid, own)  # what it chose itself
        affinity.note()
        os.sched_setaffinity(child.pid, {max(cores)})
        affinity.restore()
        assert os.sched_getaffinity(child.pid) == own
    finally:
        child.kill()
        child.wait()
    affinity.restore()  # it has gone


ORPHAN = """
import os, sys, time
from lstm_parity.harness.worker.inherit import adopt_orphans
adopt_orphans()
if os.fork() == 0:
    if os.fork():
        os._exit(0)
    while time.process_time() < 1:
        pass
    os._exit(0)
time.sleep(60)
"""


def test_a_process_whose_parent_has_ended_counts():
    child = subprocess.Popen([sys.executable, "-c", ORPHAN])
    try:
        deadline = time.monotonic() + 30
        while process_seconds(child.pid) < 0.5:
            assert time.monotonic() < deadline, process_seconds(child.pid)
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
