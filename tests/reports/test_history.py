"""What moved between runs: recomputed by loops; which runs are joined, and which never."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from lstm_parity.harness.text import duration
from lstm_parity.reports import build
from lstm_parity.reports.charts.history import moves_table, runs_table
from lstm_parity.reports.data import select_run
from lstm_parity.reports.history import MAX_RUNS, find_history, move_sentence
from lstm_parity.reports.page.summary import past
from lstm_parity.reports.view import make_view


def stored(synthetic, count, machine_of=lambda n: "machine-7", **options):
    """A store with so many runs, a day apart, the last one newest."""
    parts, runs, first = [], [], 0
    for n in range(count):
        sizes = {"sequence_length": [10, 100], "batch_size": [1, 8]} | options
        part = synthetic.synthetic_data(n, run_id=f"run-{n}", **sizes)
        rows = part.rows.assign(row_id=part.rows["row_id"] + first, machine_id=machine_of(n))
        parts.append(replace(part, rows=rows, samples=part.samples.assign(row_id=part.samples["row_id"] + first)))
        first += len(rows)
        at = pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(days=n)
        runs.append(synthetic.runs_frame(f"run-{n}", n, at.isoformat(), baseline="numpy").assign(machine_id=machine_of(n)))
    both = (pd.concat([getattr(p, kind) for p in parts], ignore_index=True) for kind in ("rows", "samples"))
    return replace(parts[0], **dict(zip(("rows", "samples"), both, strict=True)), runs=pd.concat(runs, ignore_index=True))


def found(data, baseline=None):
    run = select_run(data)
    rows, chosen = build._over_baseline(run, baseline)
    view = make_view(rows)
    return find_history(data, run, rows, view, chosen), view, chosen


@pytest.mark.parametrize("baseline", ["numpy", "torch-cpu"])
def test_moves_by_loops(synthetic, baseline):
    data = stored(synthetic, 3, failing=0.2)
    moves = found(data, baseline)[0].moves
    ratios = {}
    for run in ("run-0", "run-1", "run-2"):
        rows = data.rows[(data.rows["run_id"] == run) & (data.rows["status"] == "PASSED")]
        for row in rows.itertuples():
            ratios[run, row.backend, row.sequence_length, row.batch_size] = row.median_s
    expected = {}
    for (run, backend, t, b), time in ratios.items():
        if run != "run-2" or backend == baseline or (run, baseline, t, b) not in ratios:
            continue
        earlier = [r for r in ("run-1", "run-0") if (r, backend, t, b) in ratios and (r, baseline, t, b) in ratios]
        if earlier:
            before = earlier[0]
            expected[backend, t, b] = (
                time / ratios[run, baseline, t, b] / (ratios[before, backend, t, b] / ratios[before, baseline, t, b])
            )
    assert {(m.backend, m.steps, m.batch): m.change for m in moves.itertuples()} == pytest.approx(expected, rel=0.06)
    for m in moves.itertuples():
        assert m.moved == (m.low > m.then_high or m.high < m.then_low)
    assert list(moves["moved"]) == sorted(moves["moved"], reverse=True)
    sizes = [abs(math.log(c)) for c in moves.loc[~moves["moved"], "change"]]
    assert sizes == sorted(sizes, reverse=True)


def test_a_slower_backend_is_said_to_have_moved(synthetic):
    data = stored(synthetic, 2)
    slower = (data.rows["run_id"] == "run-1") & (data.rows["backend"] == "torch-cpu")
    data.rows.loc[slower, ["median_s", "ci_low_s", "ci_high_s", "ratio_to_baseline", "ratio_ci_low", "ratio_ci_high"]] *= 1.5
    result, view, baseline = found(data)
    assert set(result.moves.loc[result.moves["moved"], "backend"]) == {"torch-cpu"}
    said = move_sentence(result, baseline)
    assert "4 of 8 ratios to numpy changed beyond both intervals, the most that of torch-cpu" in said
    assert "To find out, run `lstm-parity duel`" in said
    most = result.moves.iloc[0]
    took, takes = (duration(most[c]) for c in ("then_time", "time"))
    assert f"times numpy's time (it took {took}, now {takes}; numpy " in said
    here = (data.rows["sequence_length"] == most["steps"]) & (data.rows["batch_size"] == most["batch"])
    for column, run, backend in (
        ("time", "run-1", "torch-cpu"), ("base_time", "run-1", "numpy"),
        ("then_time", "run-0", "torch-cpu"), ("then_base_time", "run-0", "numpy"),
    ):  # fmt: skip
        row = data.rows[here & (data.rows["run_id"] == run) & (data.rows["backend"] == backend)]
        assert row["median_s"].tolist() == [most[column]]
    lines = moves_table(result, view, baseline).cells
    assert list(lines["intervals apart?"]) == ["yes"] * 4 + ["no"] * 4


@pytest.mark.parametrize(("run", "backend", "column"), [("run-0", "numpy", "then"), ("run-1", "torch-cpu", "now")])
def test_a_ratio_of_an_unstable_time_is_marked(synthetic, run, backend, column):
    data = stored(synthetic, 2)
    one = (data.rows["run_id"] == run) & (data.rows["backend"] == backend)
    data.rows.loc[one & (data.rows["batch_size"] == 8), "status"] = "UNSTABLE"
    result, view, baseline = found(data)
    table = moves_table(result, view, baseline)
    marked = table.cells[table.cells[column].str.startswith("~")]
    assert set(marked["batch size"]) == {"8"}
    assert len(marked) == (2 if backend == "torch-cpu" else 4)
    assert "~: a time is UNSTABLE" in table.note


def test_runs_of_one_minute_have_labels_of_their_own(synthetic):
    data = stored(synthetic, 3)
    data.runs["started_at"] = [f"2025-01-01T00:00:{s:02}+00:00" for s in (1, 2, 2)]
    labels = found(data)[0].runs["label"].tolist()
    assert labels == ["2025-01-01 00:00 0123abc", "2025-01-01 00:00:02 0123abc", "2025-01-01 00:00:02 0123abc'"]


def test_runs_of_other_machines_are_never_joined(synthetic):
    data = stored(synthetic, 4, lambda n: "machine-7" if n in (0, 3) else f"other-{n}")
    result, _, _ = found(data)
    assert list(result.runs["run_id"]) == ["run-0", "run-3"]
    assert result.elsewhere == 2
    assert set(result.moves["since"]) == {"2025-01-01 00:00 0123abc"}
    assert "2 runs of other machines" in runs_table(result).note


def test_other_thread_counts_and_problems_are_not_compared(synthetic):
    data = stored(synthetic, 2)
    data.rows.loc[data.rows["run_id"] == "run-0", "threads"] = 1
    assert found(data)[0].moves.empty
    data = stored(synthetic, 2)
    data.rows.loc[data.rows["run_id"] == "run-0", "hidden_size"] = 65
    result, _, baseline = found(data)
    assert result.moves.empty
    assert move_sentence(result, baseline) is None


def test_backends_that_gained_or_lost_a_time_are_named(synthetic):
    data = stored(synthetic, 3)
    first, second, last = (data.rows["run_id"] == f"run-{n}" for n in range(3))
    one, other = data.rows["backend"] == "torch-cpu", data.rows["backend"] == "torch-cudnn"
    data.rows.loc[last & one, ["status", "median_s"]] = "WRONG", None
    data.rows.loc[second & other & (data.rows["batch_size"] == 8), ["status", "median_s"]] = "UNAVAILABLE", None
    data.rows.loc[first & other, "status"] = "CRASHED"  # older than the run before
    result, _, baseline = found(data)
    said = "Backends gained or lost a valid time since the previous run: torch-cpu from PASSED to WRONG in 4 cells, "
    assert move_sentence(result, baseline).endswith(f"{said}torch-cudnn from UNAVAILABLE to PASSED in 2 cells.")
    data.rows.loc[last & other, "status"] = "WRONG"
    result, _, baseline = found(data)
    assert result.moves.empty
    assert past(result, move_sentence(result, baseline))[0].startswith(said)


def test_older_runs_are_summarised(synthetic):
    data = stored(synthetic, 2 * MAX_RUNS + 3, sequence_length=[10], batch_size=[1], samples=6)
    result, _, _ = found(data)
    assert result.table["order"].nunique() == MAX_RUNS
    table = runs_table(result)
    assert len(table.cells) == 2 * MAX_RUNS
    assert table.cells["run"].iloc[0] == f"run-{2 * MAX_RUNS + 2}"
    assert "And 3 older runs, from 2025-01-01 00:00 to 2025-01-03 00:00, 9 rows" in table.note


@pytest.mark.parametrize(("count", "said"), [(2, "No earlier run of"), (14, "None of the newest 11 earlier runs of")])
def test_only_runs_that_were_looked_at_are_said_to_share_nothing(synthetic, count, said):
    data = stored(synthetic, count, sequence_length=[10], batch_size=[1], samples=6)
    data.rows.loc[~data.rows["run_id"].isin(["run-0" if count > 2 else "", f"run-{count - 1}"]), "hidden_size"] = 65
    assert past(found(data)[0], None)[0].startswith(said)


def test_one_run_has_no_history(synthetic):
    result, _, _ = found(stored(synthetic, 1))
    assert result.moves.empty
    assert result.table.empty
