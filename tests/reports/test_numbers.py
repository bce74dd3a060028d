"""Ratios, fits and wins, recomputed by plain loops and plain linear algebra."""

import itertools
import math
import random
import statistics
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lstm_parity.harness.statistics import median_ranks, student_quantile
from lstm_parity.reports.data import select_run
from lstm_parity.reports.fit import fit_lines
from lstm_parity.reports.ratios import paired_ratios, recorded_baseline, with_baseline
from lstm_parity.reports.view import make_view
from lstm_parity.reports.wins import contests, margin_sentence, win_sentences


def ratios_by_loops(samples, row, base):
    def blocks(row_id):
        mine = samples[samples["row_id"] == row_id]
        times = [d if d == d else w for d, w in zip(mine["device_s"], mine["wall_s"], strict=True)]
        gathered = {}
        for block, t in zip(mine["block"], times, strict=True):
            gathered.setdefault(block, []).append(t)
        return {block: sum(ts) / len(ts) for block, ts in gathered.items()}

    one, other = blocks(row), blocks(base)
    quotients = sorted(one[b] / other[b] for b in one.keys() & other.keys())
    if not quotients:
        return [math.nan] * 3
    k = int(median_ranks(len(quotients)))
    ends = [quotients[k - 1], quotients[-k]] if k else [math.nan, math.nan]
    return [statistics.median(quotients), *ends]


@pytest.mark.parametrize("seed", range(6))
def test_paired_ratios(seed):
    rng = random.Random(seed)
    kept = []
    for row in (7, 3, 900, 12, 44):
        for block in range(rng.choice([3, 8, 21])):
            kept += [(row, block * 5, 0, 1, rng.lognormvariate(-7, 1), rng.choice([math.nan, rng.uniform(1, 2)]), True)
                     for _ in range(rng.choice([0, 1, 1, 2]))]  # fmt: skip
    rng.shuffle(kept)
    samples = pd.DataFrame(kept, columns=["row_id", "block", "position", "calls", "wall_s", "device_s", "used"])
    base = pd.Series({3: 7, 900: 7, 12: 44, 5: 7, 44: 6})
    found = paired_ratios(samples, base)
    for row, of in base.items():
        assert found.loc[row].tolist() == pytest.approx(ratios_by_loops(samples, row, of), rel=1e-12, nan_ok=True)
    assert found.loc[[5, 44]].isna().all().all()


def test_another_baseline_is_computed_from_the_samples(synthetic):
    data = synthetic.synthetic_data(11, sequence_length=[1, 50], batch_size=[1, 4], failing=0.2)
    run = select_run(data)
    found = with_baseline(run.rows, run.samples, "torch-cpu")
    by_cell = {row.cell: row.row_id for row in found.itertuples() if row.backend == "torch-cpu" and row.timed}
    assert by_cell
    for row in found.itertuples():
        numbers = [row.ratio_to_baseline, row.ratio_ci_low, row.ratio_ci_high]
        if row.timed and row.cell in by_cell:
            assert numbers == pytest.approx(ratios_by_loops(data.samples, row.row_id, by_cell[row.cell]), rel=1e-12)
        else:
            assert all(math.isnan(n) for n in numbers)


def test_the_recorded_baseline_is_found(synthetic):
    data = synthetic.synthetic_data(12, baseline="torch-cpu", batch_size=[1, 2])
    rows = select_run(data).rows
    assert recorded_baseline(rows, {}) == "torch-cpu"
    assert recorded_baseline(rows, {"baseline": "numpy"}) == "numpy"
    assert recorded_baseline(rows, {"baseline": "gone"}) == "torch-cpu"
    blank = rows.assign(ratio_to_baseline=rows["ratio_to_baseline"].where(rows["backend"] != "torch-cpu"))
    assert recorded_baseline(blank, {}) == "torch-cpu"
    assert recorded_baseline(rows.assign(ratio_to_baseline=np.nan), {}) is None


@pytest.mark.parametrize(
    ("seed", "scale", "lengths"), [(1, 1.0, [1, 10, 100]), (2, 1e-3, [1, 7, 1000, 10**6]), (3, 1e5, [2, 3, 5, 8])]
)
def test_fit_against_linear_algebra(synthetic, seed, scale, lengths):
    speeds = {name: (a * scale, b * scale) for name, (a, b) in synthetic.SPEEDS.items()}
    rows = select_run(synthetic.synthetic_data(seed, speeds, sequence_length=lengths, batch_size=[1, 16])).rows
    lines = fit_lines(rows)
    assert len(lines) == 6
    for line in lines.itertuples():
        mine = rows[(rows["backend"] == line.backend) & (rows["batch_size"] == line.batch_size)]
        t, y = mine["sequence_length"].to_numpy(float), mine["median_s"].to_numpy(float)
        X = np.column_stack([1 / y, t / y])  # each equation divided by its time: weights 1/time^2
        (a, b), *_ = np.linalg.lstsq(X, np.ones(len(y)), rcond=None)
        off = 1 - X @ [a, b]
        n = len(y)
        half = student_quantile(n - 2) * np.sqrt(np.diag(np.linalg.inv(X.T @ X)) * (off @ off) / (n - 2))
        assert [line.fixed_s, line.step_s] == pytest.approx([a, b], rel=1e-6)
        assert [line.fixed_high_s - a, b - line.step_low_s] == pytest.approx(half, rel=1e-5)
        assert line.residual == pytest.approx(np.abs(off).max(), rel=1e-6)
        assert (line.points, line.shortest, line.longest) == (n, lengths[0], lengths[-1])


def test_fit_intervals_hold_the_truth_and_bent_curves_do_not_fit(synthetic):
    held = []
    for seed in range(60):
        data = synthetic.synthetic_data(
            seed, {"a": (1e-3, 1e-5)}, baseline=None, sequence_length=[1, 20, 50, 100, 300], batch_size=[1]
        )
        line = fit_lines(select_run(data).rows).iloc[0]
        held += [line.fixed_low_s <= 1e-3 <= line.fixed_high_s, line.step_low_s <= 1e-5 <= line.step_high_s]
        assert line.fits
    assert sum(held) / len(held) >= 0.88  # of 120 at 95%; the chance of fewer is below 1 in 500
    rows = select_run(
        synthetic.synthetic_data(0, {"a": (1e-3, 1e-5)}, baseline=None, sequence_length=[1, 100, 1000, 5000])
    ).rows
    bent = rows.assign(median_s=rows["sequence_length"].to_numpy(float) ** 2 * 1e-6)
    assert not fit_lines(bent).iloc[0].fits
    assert fit_lines(rows.head(2)).empty


def test_wins_by_loops(synthetic):
    data = synthetic.synthetic_data(
        21, sequence_length=[1, 8, 10, 15, 30, 40, 100], batch_size=[1, 3, 9], failing=0.3, noise=0.05
    )
    run = select_run(data)
    rows = run.rows
    found = contests(rows, run.samples, "numpy")
    expected = {}
    for cell in set(rows["cell"]):
        here = sorted((r.median_s, r.row_id, r) for r in rows[(rows["cell"] == cell) & rows["timed"]].itertuples())
        if not here:
            continue
        best, leads = here[0][2], []
        for _, _, other in here[1:]:
            if best.backend == "numpy":
                leads.append(other.ratio_ci_low)
            elif other.backend == "numpy":
                leads.append(1 / best.ratio_ci_high)
            else:
                leads.append(ratios_by_loops(data.samples, other.row_id, best.row_id)[1])
        expected[cell] = (best.backend, "alone" if not leads else "win" if min(leads) > 1 else "tie")
    assert {c: tuple(v) for c, v in found[["fastest", "outcome"]].iterrows()} == expected
    assert {kind for _, kind in expected.values()} == {"alone", "win", "tie"}
    text = " ".join(win_sentences(rows, found))
    tally = {b: sum(v == (b, "win") for v in expected.values()) for b in synthetic.SPEEDS}
    contested = sum(kind != "alone" for _, kind in expected.values())
    first = max(tally, key=tally.get)
    assert f"{first} is fastest in {tally[first]} of {contested} cells" in text
    assert all(f"{b} in {n}" in text for b, n in tally.items() if n and b != first)
    assert f"A tie in {sum(k == 'tie' for _, k in expected.values())} cell" in text


def test_a_win_without_samples_is_undecided_unless_the_rows_say_so(synthetic):
    data = synthetic.synthetic_data(31, sequence_length=[30], batch_size=[1])
    run = select_run(data)
    none = run.samples.head(0)
    times = run.rows.set_index("backend")["median_s"]
    assert times.idxmin() == "torch-cpu"
    assert contests(run.rows, none, "numpy")["outcome"].tolist() == ["undecided"]  # torch-cudnn was never paired with torch-cpu
    pair = run.rows[run.rows["backend"] != "torch-cudnn"]
    assert contests(pair, none, "numpy")["outcome"].tolist() == ["win"]


@pytest.mark.parametrize(("high", "outcome"), [(0.98, "win"), (1.02, "tie"), (1.0, "tie")])
def test_a_win_over_the_baseline_needs_its_whole_interval_below_1(synthetic, high, outcome):
    run = select_run(synthetic.synthetic_data(32, sequence_length=[30]))
    rows = run.rows[run.rows["backend"] != "torch-cudnn"].copy()
    fastest = rows["backend"] == "torch-cpu"
    rows.loc[fastest, ["ratio_to_baseline", "ratio_ci_low", "ratio_ci_high"]] = [0.95, 0.9, high]
    found = contests(rows, run.samples, "numpy")
    assert found.iloc[0][["fastest", "outcome"]].tolist() == ["torch-cpu", outcome]


def side_by_side(synthetic, ratios, of_b=20, of_c=20):
    """One cell of a, b and c, whose medians rise: time over a's, with its interval, and how many samples count."""
    data = synthetic.synthetic_data(33, dict.fromkeys("abc", (1e-3, 0)), "a")
    data.rows["median_s"] = [1e-3, 1.003e-3, 1.1e-3]
    data.rows[["ratio_to_baseline", "ratio_ci_low", "ratio_ci_high"]] = [[1.0] * 3, *ratios]
    samples = data.samples.set_index("row_id")
    for row, times, counted in ((2, 0.985, of_b), (3, 1.1, of_c)):
        samples.loc[row, "wall_s"] = times * samples.loc[1, "wall_s"].to_numpy()
        samples.loc[row, "used"] = samples.loc[row, "block"].to_numpy() < counted
    return replace(data, samples=samples.reset_index())


@pytest.mark.parametrize(
    ("ratios", "counted", "expected"),
    [
        ([[0.985, 0.975, 0.992], [1.1, 1.08, 1.12]], (20, 20), ("b", "win", "a")),
        ([[1.3, 1.28, 1.32], [1.4, 0.9, 1.9]], (20, 20), ("a", "tie", "c")),
        ([[1.3, 1.28, 1.32], [np.nan] * 3], (20, 5), ("a", "undecided", "c")),
        ([[np.nan] * 3, [1.1, 0.95, 1.2]], (0, 20), ("a", "tie", "c")),
    ],
)
def test_ratios_decide_and_the_rival_is_the_one_that_decides(synthetic, ratios, counted, expected):
    run = select_run(side_by_side(synthetic, ratios, *counted))
    found = contests(run.rows, run.samples, "a").iloc[0]
    assert tuple(found[["fastest", "outcome", "rival"]]) == expected
    assert expected[1] == "undecided" or found[["margin", "margin_low", "margin_high"]].notna().all()


@pytest.mark.parametrize(("backend", "shaky"), [("a", True), ("b", True), ("c", False)])
def test_a_cell_is_shaky_where_one_of_the_two_that_are_compared_is(synthetic, backend, shaky):
    data = side_by_side(synthetic, [[1.3, 1.28, 1.32], [1.4, 1.38, 1.42]])
    data.rows.loc[data.rows["backend"] == backend, "status"] = "UNSTABLE"
    run = select_run(data)
    found = contests(run.rows, run.samples, "a")
    assert found["shaky"].tolist() == [shaky]
    assert ("UNSTABLE" in " ".join(win_sentences(run.rows, found))) is shaky


def test_a_winner_that_fails_the_suite_is_marked_and_who_is_left_out_of_a_margin_is_said(synthetic):
    data = side_by_side(synthetic, [[1.3, 1.28, 1.32], [1.4, 1.38, 1.42]])
    data.rows.loc[data.rows["backend"] == "b", "status"] = "WRONG"
    run = select_run(data)
    found = contests(run.rows, run.samples, "a")
    assert win_sentences(run.rows, found, ["a"])[0].startswith("a (FAIL in the property suite) is fastest in 1 of 1 cell")
    said = "The next fastest takes 1.40 times as long. In 1 cell a WRONG or SUSPECT backend is left out."
    assert margin_sentence(run.rows, found) == [said]


def test_where_three_beat_each_other_nobody_wins(synthetic):
    data = side_by_side(synthetic, [[0.9, 0.88, 0.92], [1.1, 1.05, 1.15]])
    beats_b = data.samples.loc[data.samples["row_id"] == 2, "wall_s"].to_numpy() * 0.9
    data.samples.loc[data.samples["row_id"] == 3, "wall_s"] = beats_b
    run = select_run(data)
    found = contests(run.rows, run.samples, "a").iloc[0]
    assert found["outcome"] == "tie"
    assert found[["margin", "margin_low", "margin_high"]].notna().all()


def test_a_pair_has_one_ratio_whichever_is_the_base(synthetic):
    speed_up = pytest.importorskip("lstm_parity.reports.charts.speed_up", reason="the extra 'report' is not installed")
    run = select_run(side_by_side(synthetic, [[0.985, 0.975, 0.992], [1.1, 1.08, 1.12]]))
    table = speed_up.ratios_table(run.samples, make_view(run.rows), "a").set_index(["backend", "base"])
    assert (1 / table.loc[("a", "b"), ["ratio", "high", "low"]]).tolist() == pytest.approx([0.985, 0.975, 0.992])


def test_a_shared_size_of_the_wins_is_named(synthetic):
    grid = list(itertools.product([1, 100], [1, 64]))
    data = synthetic.synthetic_data(
        41, {"small": (1e-6, 3e-6), "large": (1e-2, 1e-9)}, "small", sequence_length=[10, 100000], batch_size=[1, 4]
    )
    run = select_run(data)
    assert len(grid) == run.rows["cell"].nunique()
    text = win_sentences(run.rows, contests(run.rows, run.samples, "small"))
    assert text == [
        "large is fastest in 2 of 4 cells (all with sequence length 100000); small in 2 (all with sequence length 10)."
    ]


def test_samples_of_a_disturbed_block_count_nowhere(synthetic):
    clean = synthetic.synthetic_data(12, sequence_length=[1, 50], batch_size=[1, 4])
    disturbed = clean.samples.assign(wall_s=clean.samples["wall_s"] * 1e3, block=clean.samples["block"] + 1000, used=False)
    noisy = replace(clean, samples=pd.concat([clean.samples, disturbed], ignore_index=True))
    a, b = (with_baseline(run.rows, run.samples, "torch-cpu") for run in (select_run(clean), select_run(noisy)))
    pd.testing.assert_frame_equal(a, b)
