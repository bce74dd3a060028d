"""The command `duel` as a user calls it: exit codes, errors of one line, and its three outputs."""

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest

import lstm_parity
import lstm_parity.harness.compare.duel
from lstm_parity.harness.cli import main
from lstm_parity.harness.commands.compare import output
from lstm_parity.harness.compare.decide import Change, Pair, Side, decide
from lstm_parity.harness.compare.duel import duel_threads
from lstm_parity.harness.compare.formatting import About, as_json, as_markdown, as_text
from lstm_parity.harness.records import TIMED, Cell

pytestmark = pytest.mark.deep
measures = pytest.mark.quiet

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


PATCH = "import lstm_parity.harness.compare.duel as d\nd.measure_peaks = lambda threads, cuda: {}\nd.ROUNDS = 2"
"""Makes a duel short."""


def duel(bench, old, new, *words, rounds=2, **options):
    return bench.run("duel", old, new, *ONE_CELL, *words, patch=PATCH.replace("= 2", f"= {rounds}"), **options)


def commit(folder, message):
    env = {**os.environ, **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
    for words in (["add", "mine.py"], ["commit", "-qm", message]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=env, capture_output=True)


@measures
def test_a_slower_revision_is_exit_1(bench):
    subprocess.run(["git", "init", "-q"], cwd=bench.folder, check=True)
    bench.file("mine.py", MINE.format(sleep=0.002, wrong=""))
    commit(bench.folder, "fast")
    bench.file("mine.py", MINE.format(sleep=0.006, wrong=""))
    done = duel(bench, "mine.py:X@HEAD", "mine.py:X", "--json", "d.json", "--markdown", "d.md", rounds=4)
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
    for line in (f"old: mine.py:X@HEAD, commit {head[:10]}", f"new: mine.py:X, commit {head[:10]}, with uncommitted changes"):
        assert line in done.stdout
        assert line.replace("_", "\\_") in (bench.folder / "d.md").read_text()
    trees = subprocess.run(["git", "worktree", "list"], cwd=bench.folder, check=True, capture_output=True, text=True)
    assert len(trees.stdout.splitlines()) == 1
    assert list(bench.temporary.iterdir()) == []


def test_the_exit_code_is_1_for_slower_and_broken_pairs_alone(capsys):
    arguments = argparse.Namespace(threshold=0.02, json=None, markdown=None)
    right, wrong = Side("PASSED", None, 1e-3), Side("WRONG", "y is wrong", None)
    slower, faster = (Pair(Cell.of(), "b", right, right, Change(r, 0.99 * r, 1.01 * r, 0.0)) for r in (2.0, 0.5))
    broken, fixed = (Pair(Cell.of(), "b", *sides, None) for sides in ((right, wrong), (wrong, right)))
    for pairs, bad in (([faster, slower], True), ([faster], False), ([faster, broken], True), ([fixed], False)):
        assert any(d.bad for d in output(pairs, About("", (), {}), arguments)) is bad
    assert "1 FASTER" in capsys.readouterr().out


def test_one_that_went_wrong_is_exit_1(bench):
    bench.file("mine.py", MINE.format(sleep=0, wrong=""))
    bench.file("bad.py", MINE.format(sleep=0, wrong=" * 1.01"))
    done = duel(bench, "mine.py:X", "bad.py:X")
    assert done.returncode == 1
    assert "1 UNCLEAR; 1 right before and not now" in done.stdout
    assert "right before, now WRONG: y is" in done.stdout
    assert duel(bench, "bad.py:X", "mine.py:X").returncode == 0  # a side that is right now is no regression


def test_where_one_side_runs_nowhere_nothing_is_compared(bench):
    bench.file("mine.py", MINE.format(sleep=0, wrong=""))
    bench.file("bad.py", MINE.format(sleep=0, wrong=" / undefined"))
    done = duel(bench, "bad.py:X", "mine.py:X")
    assert done.returncode == 2
    assert "1 pair: 1 UNCLEAR" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("lstm-parity duel: nothing was compared: no cell has a time on both sides; old: CRASHED, NameError")


def test_a_backend_older_than_remarks_is_measured_against_itself(bench):
    bench.file("old.py", MINE.format(sleep=0, wrong="") + "    @property\n    def remark(self): raise AttributeError\n")
    done = duel(bench, "old.py:X", "old.py:X")
    assert done.returncode in (0, 1), done.stderr  # 2: nothing was compared; so small a cell may well differ between processes
    assert "old.py:X (again) over old.py:X" in done.stdout
    assert "CRASHED" not in done.stdout


@pytest.mark.parametrize("tag", ["old", "new"])
def test_revisions_of_either_layout_are_measured(layouts, monkeypatch, capsys, tag):
    monkeypatch.chdir(layouts)
    monkeypatch.setattr(lstm_parity.harness.compare.duel, "measure_peaks", lambda threads, cuda: {})
    monkeypatch.setattr(lstm_parity.harness.compare.duel, "ROUNDS", 2)
    assert main(["duel", f"numpy@{tag}", "numpy", *ONE_CELL]) in (0, 1)
    out = capsys.readouterr().out
    assert "1 pair: " in out
    assert "CRASHED" not in out


def test_where_neither_side_supports_a_cell_nothing_is_compared(bench):
    less = "    capabilities = dataclasses.replace(NumpyLSTM.capabilities, gradients=False)\n"
    bench.file("mine.py", "import dataclasses\n" + MINE.format(sleep=0, wrong="") + less)
    done = duel(bench, "mine.py:X", "mine.py:X", "--mode=training")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("lstm-parity duel: nothing to compare: ")
    assert "is not supported by both sides; old: UNSUPPORTED, " in done.stderr
    assert "[2/" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("duel", "numpy", "nunpy"), "backend nunpy: "),
        (("duel", "numpy", "mine.py:X@HEAD"), "not in a git repository"),
        (("duel", "numpy", "numpy", "--threshold", "0"), "not a share between 0 and 1"),
        (("duel", "numpy", "numpy", "--json", "no/such/d.json"), "there is no folder no/such"),
        (("compare", "newest", "newest", "--store", "none.sqlite"), "no store at none.sqlite"),
        (("compare", "newest", "newest", "--store", "s.sqlite"), "holds no finished run"),
        (("duel", "numpy@", "numpy"), "there is no revision after the @"),
        (("duel", "numpy", "numpy", "--threshold", "-2%"), "--option=-1"),
    ],
)
def test_what_cannot_be_carried_out_is_exit_2_and_one_line(bench, monkeypatch, capfd, words, said):
    monkeypatch.setattr(lstm_parity, "__file__", "/lstm_parity/__init__.py")  # no checkout to fall back on
    monkeypatch.chdir(bench.folder)
    try:
        code = main([*words])
    except SystemExit as error:
        code = error.code
    err = capfd.readouterr().err
    assert code == 2, err
    assert len(err.strip().splitlines()) == 1
    assert said in err


@measures
def test_two_sweeps_are_compared(bench, monkeypatch, capsys):
    for _ in range(2):
        assert bench.sweep(bench.tiny(budget=0.3, steps=[3])).returncode == 0
    first, second = (run["run_id"] for run in bench.runs())
    monkeypatch.chdir(bench.folder)
    assert main(["compare", first, second, "--store", str(bench.store), "--json", "c.json"]) in (0, 1)
    assert f"compare: {second} over {first}" in capsys.readouterr().out
    (pair,) = json.loads(Path("c.json").read_text())["pairs"]
    assert pair["cell"]["sequence_length"] == 3
    assert (pair["old"]["status"], pair["new"]["status"]) in product(TIMED, repeat=2)


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
