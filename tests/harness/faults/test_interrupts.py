"""Ctrl-C ends the commands that try mutants at once: exit code 130, and no process is left."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMANDS = {
    "mutants": (["lstm_parity", "mutants"], r"mutants: \d+ of \d+"),
    "false alarms": (["lstm_parity.harness.commands.false_alarms", "--state", "tried.jsonl"], r"[\d,]+ examples, 0 alarms"),
}
"""Arguments of `python -m`, and the first line on standard error."""


def children_of(parent):
    """The ids of the running processes that it started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent_id = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent_id) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_ends_the_command_and_its_workers(name, tmp_path):
    arguments, first_line = COMMANDS[name]
    command = [sys.executable, "-m", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=tmp_path, env=environment, process_group=0
    ) as process:
        try:
            assert re.fullmatch(first_line, process.stderr.readline().strip())
            workers = children_of(process.pid)
            assert workers
            begun = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(10) == 130
            assert time.monotonic() - begun < 5
            assert "Traceback" not in said
            assert "interrupted" in said
            assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
