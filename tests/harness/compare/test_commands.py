"""The commands as a user calls them: exit codes, one line for what is wrong, and the three forms of what is said."""

import json
import os
import subprocess
import sys
import time

import pytest

from lstm_parity.harness.compare.decide import Change, Pair, Side, decide
from lstm_parity.harness.compare.duel import duel_threads
from lstm_parity.harness.compare.formatting import About, as_json, as_markdown, as_text
from lstm_parity.harness.records import Cell

pytestmark = [pytest.mark.deep, pytest.mark.quiet]

MINE = """\
import time
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM):
    def forward(self, *a, **k):
        time.sleep({sleep})
        y, state = super().forward(*a, **k)
        return y{wrong}, state
"""
ONE_CELL = [f"--{axis}-size={n}" for axis, n in (("batch", 2), ("hidden", 4), ("input", 3))]
ONE_CELL += ["--sequence-length=3", "--mode=inference", "--budget=0.3"]


def duel(bench, old, new, *words, **options):
    patch = "import lstm_parity.harness.compare.duel as d\nd.measure_peaks = lambda threads, cuda: {}\nd.ROUNDS = 4"
    return bench.run("duel", old, new, *ONE_CELL, *words, patch=patch, **options)


def commit(folder, message):
    env = {**os.environ, **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
    for words in (["add", "mine.py"], ["commit", "-qm", message]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=env, capture_output=True)


def test_a_slower_revision_is_exit_1_and_a_faster_one_0(bench):
    subprocess.run(["git", "init", "-q"], cwd=bench.folder, check=True)
    bench.file("mine.py", MINE.format(sleep=0.002, wrong=""))
    commit(bench.folder, "fast")
    bench.file("mine.py", MINE.format(sleep=0.006, wrong=""))
    done = duel(bench, "mine.py:X@HEAD", "mine.py:X", "--json", "d.json", "--markdown", "d.md")
    assert done.returncode == 1, done.stderr
    assert "1 pair: 1 SLOWER" in done.stdout
    assert "**SLOWER**" in (bench.folder / "d.md").read_text()
    said = json.loads((bench.folder / "d.json").read_text())
    (pair,) = said["pairs"]
    assert pair["verdict"] == "SLOWER"
    assert 1.5 < pair["low"] < pair["ratio"] < pair["high"] < 6
    assert len(pair["rounds"]) == 4
    assert pair["old"]["median_s"] < pair["new"]["median_s"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=bench.folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert said["commits"] == {"old": {"commit": head, "changed": False}, "new": {"commit": head, "changed": True}}
    assert (said["threads"], said["budget_s"], said["rounds"]) == (duel_threads(), 0.3, 4)
    assert said["cells"].startswith("smoke with ")
    assert "batch_size 2" in said["cells"]
    for line in (f"old: mine.py:X@HEAD, commit {head[:10]}", f"new: mine.py:X, commit {head[:10]}, with changes that are not"):
        assert line in done.stdout
        assert line.replace("_", "\\_") in (bench.folder / "d.md").read_text()
    trees = subprocess.run(["git", "worktree", "list"], cwd=bench.folder, check=True, capture_output=True, text=True)
    assert len(trees.stdout.splitlines()) == 1
    done = duel(bench, "mine.py:X", "mine.py:X@HEAD")
    assert (done.returncode, "1 FASTER" in done.stdout) == (0, True), done.stdout
    assert list(bench.temporary.iterdir()) == []


def test_one_that_went_wrong_is_exit_1(bench):
    bench.file("mine.py", MINE.format(sleep=0, wrong=""))
    bench.file("bad.py", MINE.format(sleep=0, wrong=" * 1.01"))
    done = duel(bench, "mine.py:X", "bad.py:X")
    assert done.returncode == 1
    assert "1 UNCLEAR; 1 right before and not now" in done.stdout
    assert "right before, now WRONG: y is" in done.stdout
    assert duel(bench, "bad.py:X", "mine.py:X").returncode == 0  # what has been mended is no regression


def test_where_one_side_runs_nowhere_nothing_is_compared(bench):
    bench.file("mine.py", MINE.format(sleep=0, wrong=""))
    bench.file("bad.py", MINE.format(sleep=0, wrong=" / undefined"))
    done = duel(bench, "bad.py:X", "mine.py:X")
    assert done.returncode == 2
    assert "1 pair: 1 UNCLEAR" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("lstm-parity duel: nothing was compared: no cell has a time on both sides; old: CRASHED, NameError")


def test_a_backend_older_than_remarks_is_measured(bench):
    bench.file("old.py", MINE.format(sleep=0, wrong="") + "    @property\n    def remark(self): raise AttributeError\n")
    done = duel(bench, "old.py:X", "old.py:X")
    assert done.returncode in (0, 1), done.stderr  # 2: nothing was compared
    assert "CRASHED" not in done.stdout


def test_a_file_has_its_own_budget_and_a_preset_that_of_a_duel(bench):
    sweep = bench.tiny(budget=0.2, steps=[3])
    patch = "import lstm_parity.harness.compare.duel as d\nd.measure_peaks = lambda threads, cuda: {}\nd.ROUNDS = 2"
    assert "0.2 s of sampling a cell" in bench.run("duel", "numpy", "numpy", sweep, patch=patch).stdout
    sizes = [word for word in ONE_CELL if "budget" not in word]
    assert "2 s of sampling a cell" in bench.run("duel", "numpy", "numpy", *sizes, patch=patch).stdout


def test_where_neither_side_supports_a_cell_nothing_is_compared(bench):
    less = "    capabilities = dataclasses.replace(NumpyLSTM.capabilities, gradients=False)\n"
    bench.file("mine.py", "import dataclasses\n" + MINE.format(sleep=0, wrong="") + less)
    done = duel(bench, "mine.py:X", "mine.py:X", "--mode=training")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("lstm-parity duel: nothing to compare: ")
    assert "is not supported by both sides; old: UNSUPPORTED, " in done.stderr
    assert "[2/" not in done.stderr


def test_a_backend_against_itself(bench):
    done = duel(bench, "numpy", "numpy")
    assert "numpy (again) over numpy" in done.stdout
    assert done.returncode in (0, 1)  # so small a cell may well differ between four processes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("duel", "numpy", "nunpy"), "backend nunpy: "),
        (("duel", "numpy", "mine.py:X@HEAD"), "not in a git repository"),
        (("duel", "numpy", "numpy", "--threshold", "0"), "not a share between 0 and 1"),
        (("duel", "numpy", "numpy", "--json", "no/such/d.json"), "there is no folder no/such"),
        (("compare", "newest", "newest", "--store", "none.sqlite"), "no store at none.sqlite"),
        (("compare", "newest", "newest", "--store", "s.sqlite"), "holds no finished run"),
        (("duel", "numpy@", "numpy"), "no revision stands after the @"),
        (("duel", "numpy", "numpy", "--threshold", "-2%"), "--option=-1"),
    ],
)
def test_what_cannot_be_carried_out_is_exit_2_and_one_line(bench, words, said):
    patch = "import lstm_parity.harness.compare.revision as r\nr.harness.__file__ = '/'"  # no checkout to fall back on
    done = bench.run(*words, patch=patch)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_finished_runs_of_one_store_and_of_two(bench):
    for _ in range(2):
        assert bench.sweep(bench.tiny(budget=0.3)).returncode == 0
    first, second = (run["run_id"] for run in bench.runs())
    done = bench.run("compare", first, second, "--store", bench.store, "--json", "c.json", "--threshold", "400%")
    assert done.returncode == 2
    done = bench.run("compare", first, second, "--store", bench.store, "--json", "c.json")
    assert done.returncode in (0, 1), done.stderr
    assert f"compare: {second} over {first}" in done.stdout
    said = json.loads((bench.folder / "c.json").read_text())
    assert [pair["cell"]["sequence_length"] for pair in said["pairs"]] == [2, 3]
    again = bench.run("compare", f"{bench.store}#{first}", bench.store)
    assert again.stdout == done.stdout


def test_a_run_that_is_not_finished_is_not_compared(bench):
    assert bench.sweep(bench.tiny()).returncode == 0
    with __import__("sqlite3").connect(bench.store) as db:
        db.execute("UPDATE runs SET finished_at = NULL")
    db.close()
    done = bench.run("compare", bench.store, bench.store)
    assert (done.returncode, "holds no finished run" in done.stderr) == (2, True)
    done = bench.run("compare", f"{bench.store}#20", bench.store)
    assert (done.returncode, "is not finished" in done.stderr) == (2, True)


HOSTILE = "a|b <script> `x` *y*\nz"


def test_names_and_reasons_with_markup_are_text():
    pair = Pair(Cell(), HOSTILE, Side("PASSED", None, 1e-3), Side("WRONG", HOSTILE, None), None)
    other = Pair(Cell(), "b", Side("PASSED", None, 1e-3), Side("PASSED", None, 2e-3), Change(2.0, 1.9, 2.1, 0.0), rounds=(2.0,))
    decided = decide([pair, other], 0.02)
    about = About(HOSTILE, (HOSTILE,), {"kind": "duel"})
    page = as_markdown(decided, 0.02, about)
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert all(row.replace("\\|", "").count("|") == 9 for row in rows)
    assert "<script>" not in page.replace("\\<", "")
    assert json.loads(as_json(decided, 0.02, about))["pairs"][0]["backend"] == HOSTILE
    assert "2 pairs: 1 SLOWER, 1 UNCLEAR; 1 right before and not now" in as_text(decided, 0.02, about)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process at once")
def test_a_duel_that_is_ended_leaves_no_worktree(bench):
    subprocess.run(["git", "init", "-q"], cwd=bench.folder, check=True)
    bench.file("mine.py", MINE.format(sleep=0.002, wrong=""))
    commit(bench.folder, "fast")

    def worktrees():
        done = subprocess.run(["git", "worktree", "list"], cwd=bench.folder, check=True, capture_output=True, text=True)
        return len(done.stdout.splitlines())

    process = bench.start("duel", "mine.py:X@HEAD", "mine.py:X", bench.tiny())
    deadline = time.monotonic() + 60
    while worktrees() < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=60)
    assert (process.returncode, worktrees()) == (128 + 15, 1)
    assert list(bench.temporary.iterdir()) == []
