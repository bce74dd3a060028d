"""Numbers with units, Markdown, and streams whose reader has closed them."""

import math
import os
from pathlib import Path

import pandas as pd
import pytest

from lstm_parity.harness import text
from lstm_parity.harness.records import Cell, Row
from lstm_parity.harness.sweep.run import SweepResult, cell_line


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1e-6, "1.00 µs"), (1e-9, "1.00 ns"), (2.5e-12, "0.00250 ns"), (1.234e-3, "1.23 ms"), (999.9e-6, "1.00 ms"),
        (0.9996, "1.00 s"), (45.67e-3, "45.7 ms"), (789.4, "789 s"), (1000.0, "1000 s"), (12345.0, "12345 s"),
        (-3.2e-5, "-32.0 µs"), (0.0, "0 s"), (math.nan, "–"), (None, "–"), (pd.NA, "–"),
    ],
)  # fmt: skip
def test_duration(seconds, expected):
    assert text.duration(seconds) == expected


def test_numbers():
    assert text.duration_interval(1.21e-3, 1.25e-3) == "1.21 to 1.25 ms"
    assert text.duration_interval(998e-6, 1.02e-3) == "998 µs to 1.02 ms"
    assert text.duration_interval(math.nan, 1.0) == "–"
    assert [text.byte_size(n) for n in (512, 3 << 19, 1 << 40, None)] == ["512 B", "1.50 MiB", "1.00 TiB", "–"]
    assert [text.number(v) for v in (0, 0.12, 3e-7, 2e9, math.nan)] == ["0", "0.120", "3.00e-07", "2.00e+09", "–"]
    assert [text.percent(v) for v in (0.344, 0.0012, 0.996, None)] == ["34%", "0.12%", "100%", "–"]
    assert [text.rate(v, "B/s") for v in (999.9, 999.96e9)] == ["1.00 kB/s", "1.00 TB/s"]
    assert [text.relative_change(v) for v in (1.052, 0.5, 12.34)] == ["+5.2%", "-50.0%", "12.3 times"]
    assert [text.count_of(n, "row") for n in (0, 1, 1600)] == ["0 rows", "1 row", "1,600 rows"]
    assert text.count_of(2, "launch", "es") == "2 launches"
    assert text.timestamp("2026-01-02T03:04:05.678+00:00") == "2026-01-02 03:04:05 UTC"


def test_a_fingerprint():
    found = {"cpu": "a processor", "cores": 2, "gpu": ["a GPU"], "git_commit": "0123456789abcdef", "git_changes": None}
    assert text.describe_machine(found) == "a processor, 2 cores, a GPU"
    assert text.describe_commit(found) == "commit 0123456789"
    assert text.describe_commit(found | {"git_changes": "12"}) == "commit 0123456789, with uncommitted changes"
    assert text.describe_commit({}) is None


def test_tables():
    assert text.markdown_table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
    assert text.text_table([("a", "b"), ("long", ""), ("c", "d")]) == ["a     b", "long", "c     d"]
    assert text.escape_markdown("a|b\n<i> *x*") == r"a\|b &lt;i&gt; \*x\*"
    assert [text.escape_markdown(line) for line in ("- a", "1. b", "1.5 c")] == [r"\- a", r"1\. b", "1.5 c"]


def test_a_closed_pipe_does_not_end_the_program():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        text.say("nobody reads this", stream)
        text.say("nor this", stream)


NO_TIME = dict.fromkeys(("median_s", "ci_low_s", "ci_high_s"))


def row(**changes):
    figures = {"status": "PASSED", "median_s": 1.27e-3, "ci_low_s": 1.26e-3, "ci_high_s": 1.28e-3} | changes
    return Row(run_id="r", backend="b", machine_id="m", cell=Cell(), threads=2, seed=1, started_at="2026", **figures)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "b 1.27 ms"),
        ({"reason": "through a fallback"}, "b 1.27 ms"),
        ({"status": "UNSTABLE", "ci_low_s": 1.1e-3, "ci_high_s": 1.4e-3, "reason": "wide"}, "b 1.27 ms ±12% UNSTABLE"),
        ({"status": "UNSTABLE", "reason": "background load"}, "b 1.27 ms UNSTABLE (background load)"),
        (
            {"status": "UNSTABLE", "ci_low_s": None, "ci_high_s": None, "reason": "3 samples"},
            "b 1.27 ms UNSTABLE (3 samples)",
        ),
        (
            {"status": "WRONG", "reason": "y" * 999} | NO_TIME,
            f"b WRONG ({'y' * 160})",
        ),
        (
            {"status": "UNSUPPORTED", "reason": "no peephole"} | NO_TIME,
            "b UNSUPPORTED",
        ),
    ],
)
def test_the_line_of_a_finished_cell(changes, expected):
    assert cell_line(Cell(), [row(**changes)]) == f"float32 inference T=50 B=16 I=256 H=256: {expected}"


def test_how_a_sweep_ended(tmp_path):
    seconds = {"wall_s": 10.0, "in_samples_s": 6.0, "setup_s": 3.0, "waiting_s": 1.0}
    result = SweepResult("run-1", Path("s.sqlite"), {"PASSED": 2, "SUSPECT": 1}, seconds, interrupted=True)
    assert not result.ok
    assert str(result).splitlines() == [
        "2 PASSED, 1 SUSPECT; run run-1 in s.sqlite",
        "10.0 s, 60% of it inside samples; the rest: setup 30%, waiting 10%",
        "interrupted: every finished cell is stored; the same command with --resume continues",
    ]
    finished = SweepResult("run-1", Path("s.sqlite"), {"UNSTABLE": 1}, {}, nothing_to_do=True)
    assert finished.ok
    assert str(finished) == "nothing left to measure: run run-1 is finished (1 UNSTABLE)"
