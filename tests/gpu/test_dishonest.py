"""Dishonest backends that need a GPU get no time and are named; honest ones that look like them are timed.

A backend is a file in dishonest/ or honest/, as in tests/harness/sweep, where those are that need no GPU. MIN_RATIO is the
least ratio to torch-cudnn's time of one whose cheat has no effect.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lstm_parity.harness.records import TIMED
from lstm_parity.harness.store import Store

pytestmark = [pytest.mark.gpu, pytest.mark.quiet]
ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 400.0
RIGHT = ("torch-cudnn", "cupy-raw")
# large enough that the device works for longer than its launches take the host
SWEEP = """\
title = "dishonest"
budget = 1.0
backends = ["torch-cudnn"]
[[grid]]
sequence_length = 50
batch_size = 256
input_size = 64
hidden_size = 1024
"""


@pytest.fixture(scope="module")
def rows(catalogue, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dishonest")
    (folder / "sweep.toml").write_text(SWEEP)
    names = dict.fromkeys(RIGHT) | {entry.backend: entry.name for entry in catalogue}
    chosen = [word for backend in names for word in ("--backend", backend)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    words = [sys.executable, "-m", "lstm_parity", "sweep", "sweep.toml", *chosen, "--store", "s.sqlite"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1, done.stderr
    with Store(folder / "s.sqlite") as store:
        found = store.frames().rows.to_dict("records")
    return {names[row["backend"]] or row["backend"]: row for row in found}


def test_a_cheat_is_named_and_an_honest_one_is_timed(rows, entry):
    row = rows[entry.name]
    said = f"{entry.does} {row['status']}: {row['reason']}, {row['median_s']} s"
    assert row["status"] in entry.statuses, said
    assert re.fullmatch(entry.reason, row["reason"] if isinstance(row["reason"], str) else ""), said
    if "MIN_RATIO" in entry.constants:
        assert row["ratio_to_baseline"] >= entry.constants["MIN_RATIO"], said


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_backend_is_timed(rows, name):
    assert rows[name]["status"] in TIMED, rows[name]["reason"]
