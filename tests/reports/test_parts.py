"""The parts of a page: what is drawn of a large run, names, published times, verdicts, roofs, and margins by loops."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lstm_parity.reports import ReportError, view
from lstm_parity.reports.charts.bits_vs_time import bits_vs_time
from lstm_parity.reports.charts.published import (
    MAX_PROBLEMS,
    PROBLEM,
    first_problems,
    published,
    published_lines,
    published_table,
    published_times,
)
from lstm_parity.reports.charts.speed_up import _caption as _speed_caption
from lstm_parity.reports.charts.time_by_size import time_charts
from lstm_parity.reports.charts.win_map import where
from lstm_parity.reports.data import select_run
from lstm_parity.reports.findings import Findings, cells_table, wins_table
from lstm_parity.reports.page import suite
from lstm_parity.reports.sanitize import display_names, escape_direction, with_display_names
from lstm_parity.reports.view import make_view
from lstm_parity.reports.wins import contests, margin_sentence


def findings(data, baseline, rows=None):
    """What is found in the newest run, without a history; rows: in place of the run's."""
    run = select_run(data)
    rows = run.rows if rows is None else rows
    shown = make_view(run.rows)
    wins = wins_table(shown, contests(run.rows, run.samples, baseline))
    return Findings(run, rows, baseline, (), data.peaks, shown, cells_table(shown), wins, None)


def test_controls_are_what_varies_and_is_not_decided(synthetic):
    data = synthetic.synthetic_data(
        1, mode=["inference", "training"], hidden_size=[64, 128], sequence_length=[1, 2], batch_size=[1]
    )
    data.rows["input_size"] = data.rows["hidden_size"] * 2
    shown = make_view(select_run(data).rows)
    assert [(c.column, c.options) for c in shown.controls] == [
        ("mode", ("inference", "training")),
        ("hidden_size", ("64, input size 128", "128, input size 256")),
    ]
    assert shown.groups["title"][0] == "inference, hidden size 64, input size 128"
    assert len(shown.groups) == 4
    assert shown.notes == ()


def test_all_precisions_of_a_problem_are_alike(synthetic):
    data = synthetic.synthetic_data(2, precision=["float32", "float16"], bidirectional=[False, True])
    shown = make_view(select_run(data).rows)
    for group in shown.groups.index:
        others = shown.all_precisions(group)
        assert len(others) == 2
        assert {shown.groups["in_precision"][g] for g in others} == {"float32", "float16"}
        assert len({shown.groups["bidirectional"][g] for g in others}) == 1


def test_a_huge_run_is_cut_and_says_so(synthetic):
    sizes = {"sequence_length": list(range(1, 41)), "hidden_size": list(range(1, 101))}
    rows = select_run(synthetic.synthetic_data(3, {f"b{n}": (1e-4, 1e-6) for n in range(20)}, None, 1, **sizes)).rows
    shown = make_view(rows)
    assert len(shown.backends) == view.MAX_BACKENDS
    assert len(shown.groups) == view.MAX_GROUPS
    assert shown.rows.groupby("group")["sequence_length"].nunique().eq(view.MAX_SIZES).all()
    assert {1, 40} <= set(shown.rows["sequence_length"])
    assert {1, 100} <= set(shown.rows["hidden_size"])
    assert len(shown.notes) == 3
    assert len(shown.rows) <= view.MAX_ROWS


@pytest.mark.parametrize("seed", [1, 2])
def test_margins_by_loops(synthetic, seed):
    data = synthetic.synthetic_data(seed, sequence_length=[1, 10, 30, 100], batch_size=[1, 9], failing=0.2, noise=0.04)
    run = select_run(data)
    outcome = contests(run.rows, run.samples, "numpy")
    for cell, line in outcome.iterrows():
        here = run.rows[(run.rows["cell"] == cell) & run.rows["timed"]].sort_values("median_s")
        assert line["fastest"] == here["backend"].iloc[0]
        if len(here) > 1:
            times = here.set_index("backend")["median_s"]
            assert line["outcome"] == "tie" or times[line["rival"]] == pytest.approx(times.iloc[1], rel=0.1)
            assert line["margin"] == pytest.approx(times[line["rival"]] / times.iloc[0], rel=0.1)
            assert line["margin_low"] <= line["margin"] <= line["margin_high"]
            assert (line["margin_low"] > 1) >= (line["outcome"] == "win")
        else:
            assert line["outcome"] == "alone"
            assert np.isnan(line["margin"])
    wins = wins_table(make_view(run.rows), outcome)
    assert len(wins) == run.rows["cell"].nunique()
    assert (wins["outcome"] == "none").sum() == run.rows["cell"].nunique() - len(outcome)
    assert len(margin_sentence(run.rows, outcome)) == 1


def time_caption(data):
    """Of the chart of times against sequence length, at batch size 8."""
    return time_charts(findings(data, "a"))[0].captions[0, 8]


@pytest.mark.parametrize(("noise", "said"), [(1e-4, "the largest lead is that of b at T="), (0.5, "no backend has a clear ")])
def test_the_caption_of_times_names_the_largest_lead(synthetic, noise, said):
    data = synthetic.synthetic_data(3, {"a": (0, 1e-5), "b": (0, 9e-6)}, "a", noise=noise, sequence_length=[1, 10, 1000])
    assert f"At batch size 8, {said}" in time_caption(data)
    assert ("faster than a" in time_caption(data)) is (noise < 0.1)


@pytest.mark.parametrize(("wrong_up_to", "said"), [(10, "largest lead is that of b at T=1,000"), (1000, "only a has a time.")])
def test_who_has_no_rival_leads_nobody(synthetic, wrong_up_to, said):
    data = synthetic.synthetic_data(3, {"a": (0, 1e-5), "b": (0, 5e-6)}, "a", noise=1e-4, sequence_length=[1, 10, 1000])
    data.rows.loc[(data.rows["backend"] == "b") & (data.rows["sequence_length"] <= wrong_up_to), "status"] = "WRONG"
    assert said in time_caption(data)


def test_derived_columns_by_loops(synthetic):
    found = findings(synthetic.synthetic_data(4, sequence_length=[1, 10], batch_size=[1, 8], failing=0.2), "numpy")
    assert found.cells["time"].isna().any()
    for line in found.cells[found.cells["time"].notna()].itertuples():
        cell = found.cells[(found.cells["steps"] == line.steps) & (found.cells["batch"] == line.batch)]
        expected = [line.time / line.steps, line.flops / line.time, line.floor / line.time, line.time / cell["time"].min()]
        assert [line.step_time, line.speed, line.reached, line.over_least] == pytest.approx(expected)


def test_all_precisions_together_have_a_caption_where_the_chosen_one_failed(synthetic):
    data = synthetic.synthetic_data(1, sequence_length=[1, 10], precision=["bfloat16", "float32"])
    data.rows.loc[data.rows["precision"] == "bfloat16", "status"] = "UNSUPPORTED"
    [chart] = bits_vs_time(findings(data, "numpy"))
    assert chart.captions[(0,)] == chart.captions[(1,)]
    assert set(chart.tables[0].cells["precision"]) == {"float32"}


def test_the_largest_difference_is_a_clear_one():
    lines = [(1, 8, "a", 0.5, 0.2, 1.3), (10, 8, "a", 0.9, 0.8, 0.95), (100, 8, "a", 3.0, 0.9, 9.0)]
    part = pd.DataFrame(lines, columns=["steps", "batch", "backend", "ratio", "low", "high"])
    said = _speed_caption(part, "a", "b")
    assert said == "a is faster than b in 1 of 3 cells and slower in 0, the most at T=10, B=8: 1.11x faster."


def test_names_are_short_apart_and_readable():
    long = [f"{'a' * 90}{n}{'b' * 90}" for n in range(3)]
    shown = display_names(["numpy", *long, "x\u202ey"])
    assert shown["numpy"] == "numpy"
    assert len(set(shown.values())) == 5
    assert all(len(s) < 80 for s in shown.values())
    assert shown["x\u202ey"] == "x\\u202ey"
    assert display_names(["'toString'", "toString"]) == {"'toString'": "'toString'", "toString": "'toString' (2)"}


def test_a_name_that_is_written_leftward_stands_apart_and_cannot_be_forged():
    shown = display_names(["\u05d0\u05d1", "a\u2068b\u2069c", "\u2068\u05d0\u05d1\u2069"])
    assert shown["\u05d0\u05d1"] == "\u2068\u05d0\u05d1\u2069"
    assert shown["a\u2068b\u2069c"] == "a\\u2068b\\u2069c"
    assert escape_direction(shown["\u05d0\u05d1"]) == shown["\u05d0\u05d1"]
    assert escape_direction("\u2068a\u202eb\u2069") == "\\u2068a\\u202eb\\u2069"
    assert len(set(shown.values())) == 3


def test_a_field_of_the_map_is_within_its_sizes_where_others_lie_there_too():
    wins = pd.DataFrame({"steps": [1, 1, 2, 2], "batch": [1, 8, 1, 8]})
    assert where(wins[:2], wins) == "T=1, B 1 to 8"
    assert where(wins.iloc[[0, 3]], wins) == "within T 1 to 2, B 1 to 8"


def test_a_renamed_baseline_is_still_the_baseline(synthetic):
    data = synthetic.synthetic_data(4)
    data.runs["definition"] = json.dumps({"baseline": "numpy"})
    names = {"numpy": "n"}
    assert json.loads(with_display_names(data, names).runs["definition"].iloc[0]) == {"baseline": "n"}
    assert "n" in set(with_display_names(data, names).rows["backend"])


def test_published_times_name_source_and_hardware():
    times = published_times()
    assert len(times) == 97
    assert times[["source", "hardware", "implementation"]].notna().all().all()
    assert set(times["precision"]) == {"float32", "float16", "bfloat16"}
    assert set(times["input_product_included"]) == {"yes", "no", "unknown"}
    assert (times["ms"] > 0).all()
    deepbench = times[times["source"].str.contains("DeepBench") & (times["hidden_size"] == 512) & (times["batch_size"] == 16)]
    chosen = deepbench.set_index(["precision", "mode"])["ms"]
    assert chosen["float32", "inference"] == 1.095
    assert chosen["float32", "training"] == pytest.approx(1.095 + 0.937 + 0.165)


def test_published_times_stand_beside_the_same_problem_only(synthetic):
    same = {"sequence_length": [25], "batch_size": [16, 17], "input_size": [512], "hidden_size": [512]}
    rows = select_run(synthetic.synthetic_data(5, **same)).rows
    table = published_table(rows)
    assert set(table["problem"]) == {"float32 inference; T=25 B=16 I=H=512"}
    assert list(table["kind"].value_counts().sort_index()) == [3, 1]
    lines = published_lines(table).cells
    assert lines["published time"].tolist() == ["1.09 ms"]
    assert lines["source"].str.contains("DeepBench").all()
    for column, value in (
        ("bidirectional", True),
        ("bias", False),
        ("peephole", True),
        ("lengths", "ragged"),
        ("mode", "other"),
    ):
        assert published_table(rows.assign(**{column: pd.array([value] * len(rows), dtype=rows[column].dtype)})).empty


def test_problems_that_the_chart_leaves_out_are_counted_and_in_the_table(synthetic):
    data = synthetic.synthetic_data(5, {"a": (1e-3, 0)}, "a", samples=1)
    rows = select_run(data).rows
    problems = published_times().drop_duplicates(list(PROBLEM))[list(PROBLEM)]
    every = problems.merge(rows.drop(columns=list(PROBLEM)), how="cross")
    table = published_table(every)
    [chart] = published(findings(data, "a", every))
    assert chart.key.endswith(f" The chart shows {MAX_PROBLEMS} of {len(problems)} shared problems, the table below all.")
    assert first_problems(table)["problem"].nunique() == MAX_PROBLEMS
    assert published_lines(table).cells["problem"].nunique() == len(problems)


def test_the_newest_verdict_of_this_machine_counts(rich):
    found = suite.newest_verdicts(rich.verdicts, "machine-7")
    assert {b[:10]: v["verdict"] for b, v in found.items()} == {
        "numpy": "PASS",
        "torch-cpu": "FAIL",
        "<script>al": "UNVERIFIED",
    }
    table = suite.suite_table(list(dict.fromkeys(rich.rows["backend"])), found, suite.Commands("s.sqlite"), "other").cells
    assert table["verdict"].tolist() == ["PASS", "FAIL", "UNVERIFIED", "UNVERIFIED", "UNVERIFIED", "UNVERIFIED"]
    assert "lstm-parity verify torch-cudnn --store s.sqlite" in table["details"][2]
    assert "other commit 0123abc" in table["date"][0]


def test_no_score_names_the_command(rich):
    said = suite.score_sentence(rich.mutation_scores.head(0), suite.Commands("my store"))
    assert said.endswith("lstm-parity mutants --store 'my store'`")
    assert "UNVERIFIED" in said


def test_frames_without_their_columns_are_refused(synthetic):
    data = synthetic.synthetic_data(6)
    bad = replace(data, verdicts=pd.DataFrame({"backend": []}))
    with pytest.raises(ReportError, match="the verdicts lack the columns"):
        select_run(bad)
