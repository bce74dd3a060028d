"""A child process: what it finds, how it ends, and what Ctrl-C does while it starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstm_parity.harness.machine.host import THREAD_VARIABLES, process_seconds
from lstm_parity.harness.worker.spawn import end, spawn

TARGETS = """\
import json, os, sys
def report(pipe):
    pipe.send([sys.path, dict(os.environ), sys.stdin.read(), "__file__" in vars(sys.modules["__main__"])])
def wait(pipe):
    pipe.recv()
def fail(pipe):
    raise ValueError("no such luck")
"""


@pytest.fixture
def targets(tmp_path, monkeypatch):
    """A module of functions that the child finds where this process finds it."""
    (tmp_path / "targets.py").write_text(TARGETS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import targets

    yield targets
    del sys.modules["targets"]


def test_a_child_has_the_parents_search_path_its_threads_and_no_main_module(targets):
    process, pipe = spawn(targets.report, 3)
    try:
        assert pipe.poll(60)
        path, environment, stdin, has_main_file = pipe.recv()
        assert path == sys.path
        assert {environment[name] for name in THREAD_VARIABLES} == {"3"}
        assert stdin == ""
        assert not has_main_file
        assert process.wait(10) == 0
    finally:
        pipe.close()
        end(process)


def test_what_a_child_writes_goes_where_it_is_told(targets, tmp_path):
    with (tmp_path / "output").open("wb") as output:
        process, pipe = spawn(targets.fail, 1, output=output.fileno())
        try:
            assert process.wait(60) == 1
        finally:
            pipe.close()
            end(process)
    assert (tmp_path / "output").read_text().endswith("ValueError: no such luck\n")


def test_a_child_ends_when_its_parents_end_of_standard_input_closes(targets):
    """As it does however the parent ends, on systems without a signal for that too."""
    process, pipe = spawn(targets.wait, 1)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.stdin.close()
        assert process.wait(10) == 1
    finally:
        pipe.close()
        end(process)


def test_end_kills(targets):
    process, pipe = spawn(targets.wait, 1)
    end(process)
    pipe.close()
    assert process.returncode == -signal.SIGKILL


STARTS = """\
import os, sys, threading, time
from multiprocessing.connection import Connection
from lstm_parity.harness.worker.spawn import end, spawn
def interrupt():
    time.sleep(float(sys.argv[1]))
    os.kill(os.getpid(), 2)
process = None
try:
    threading.Thread(target=interrupt).start()
    for _ in range(1000):
        process, pipe = spawn(Connection.recv, 1)
        end(process)
        pipe.close()
except KeyboardInterrupt:
    if process is not None:  # one that spawn has returned is the caller's to end
        end(process)
    print("interrupted", flush=True)
    input()
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to look for processes")
@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.003, 0.01])
def test_an_interrupt_while_a_child_starts_leaves_no_process_and_no_traceback(after_s):
    """The main module has no guard: a child that imported it would start more."""
    command = [sys.executable, "-c", STARTS, str(after_s)]
    parent = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | path()
    )
    assert parent.stdout.readline() == "interrupted\n"
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + 10
    while any(state(child) not in "ZX" for child in children.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert parent.communicate("\n") == ("", "")


def path():
    return {"PYTHONPATH": os.pathsep.join(sys.path)}


def state(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


ORPHAN = """
import os, sys, time
from lstm_parity.harness.worker.spawn import adopt_orphans
adopt_orphans()
if os.fork() == 0:
    if os.fork():
        os._exit(0)
    while time.process_time() < 0.5:
        pass
    os._exit(0)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="UNVERIFIED: asks Linux")
def test_the_cpu_time_of_a_process_whose_parent_has_ended_counts():
    child = subprocess.Popen([sys.executable, "-c", ORPHAN], env=os.environ | path())
    try:
        deadline = time.monotonic() + 30
        while process_seconds(child.pid) < 0.3:
            assert time.monotonic() < deadline, process_seconds(child.pid)
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
