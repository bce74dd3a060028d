"""Two runs compared through their controls: times of different runs decide nothing, other changes make a verdict UNCLEAR."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from lstm_parity.harness.cli import main
from lstm_parity.harness.compare.decide import decide
from lstm_parity.harness.compare.finished import compare_runs
from lstm_parity.harness.records import Cell, RawSample, Row, Run
from lstm_parity.harness.store import Store

STARTED = "2026-01-01T00:00:00+00:00"
CELLS = [Cell(sequence_length=t) for t in (10, 20, 30, 40, 50)]
MACHINE = {"cpu": "one", "cores": 2, "memory_bytes": 1, "gpu": [], "gpu_driver": None}


MADE = {}
"""The runs that tests have asked for."""


def run(folder, name, **options):
    """See make_run; the same run is made once."""
    key = name, repr(sorted(options.items()))
    if key not in MADE:
        MADE[key] = make_run(folder, name, **options)
    return MADE[key]


def make_run(
    folder,
    name,
    *,
    drift=1.0,
    seconds=None,
    control=1e-3,
    machine=MACHINE,
    threads=2,
    scatter=0.002,
    block_noise=0.005,
    statuses=None,
):
    """A run in which everything takes `drift` times as long, and backend b in cell k seconds[b][k] seconds."""
    seconds = {"base": [2e-3] * 5, "mine": [3e-3] * 5} | (seconds or {})
    rng = np.random.default_rng(sum(name.encode()))
    about = Run(name, json.dumps({"baseline": "base"}), "h", "m", json.dumps(machine), "c", 1, STARTED, STARTED)
    with Store(folder / f"{name}.sqlite", create=True) as store:
        store.add_run(about)
        for k, cell in enumerate(CELLS):
            of_blocks = drift * np.exp(rng.normal(0, block_noise, 60))  # the same for all samples of a block

            def samples(typical, of_blocks=of_blocks):
                times = typical * of_blocks * np.exp(rng.normal(0, scatter, 60))
                return [RawSample(b, 0, 1, float(s), None, 0.0, True) for b, s in enumerate(times)]

            results = []
            for backend, typical in seconds.items():
                status = (statuses or {}).get(backend, "PASSED")
                timed = status == "PASSED"
                row = Row(
                    run_id=name, backend=backend, machine_id="m", cell=cell, threads=threads, seed=1, status=status,
                    reason=None if timed else "as said", median_s=drift * typical[k] if timed else None, started_at="2026",
                )  # fmt: skip
                results.append((row, samples(typical[k]) if timed else []))
            store.add_cell(k, results, {"cpu": samples(control)} if control else {})
        return about, store.frames()


def verdicts(pairs, backend="mine"):
    return [d.verdict for d in decide(pairs, 0.02) if d.pair.backend == backend]


@pytest.mark.parametrize("block_noise", [0.005, 0.3])
def test_the_same_twice_is_never_slower(tmp_path, block_noise):
    pairs = compare_runs(run(tmp_path, "a", block_noise=block_noise), run(tmp_path, "b", block_noise=block_noise), 0.02)
    assert len(pairs) == 10
    assert [p.cell for p in pairs[:2]] == [CELLS[0]] * 2
    assert set(verdicts(pairs)) <= {"SAME", "UNCLEAR"}
    assert all(p.change is not None and 0.98 < p.change.ratio < 1.02 for p in pairs)


def test_a_large_change_is_found_and_only_there(tmp_path):
    new = {"mine": [3e-3, 3e-3 * 1.3, 3e-3, 3e-3 / 1.3, 3e-3]}
    pairs = compare_runs(run(tmp_path, "a"), run(tmp_path, "b", seconds=new), 0.02)
    found = verdicts(pairs)
    assert [found[k] for k in (1, 3)] == ["SLOWER", "FASTER"], [d.reason for d in decide(pairs, 0.02)]
    assert {found[k] for k in (0, 2, 4)} <= {"SAME", "UNCLEAR"}


@pytest.mark.parametrize("drift", [0.7, 1.5])
def test_a_drift_between_runs_makes_nothing_slower(tmp_path, drift):
    pairs = compare_runs(run(tmp_path, "a"), run(tmp_path, "b", drift=drift), 0.02)
    assert verdicts(pairs) == ["UNCLEAR"] * 5
    assert "the machine changed: the control's own time moved by" in decide(pairs, 0.02)[0].reason


def test_a_baseline_that_moved_leaves_the_others_unclear_and_is_judged_itself(tmp_path):
    new = {"base": [2e-3 * 1.3] * 5}
    pairs = compare_runs(run(tmp_path, "a"), run(tmp_path, "b", seconds=new), 0.02)
    reasons = [d.reason for d in decide(pairs, 0.02) if d.pair.backend == "mine"]
    assert all("the baseline's ratio to the control moved by" in (r or "") or "the machine" in (r or "") for r in reasons)
    assert verdicts(pairs) == ["UNCLEAR"] * 5
    assert "SLOWER" in verdicts(pairs, "base")


def test_a_change_of_all_backends_of_a_cell_is_the_machine(tmp_path):
    new = {"base": [2e-3 * 1.3] * 5, "mine": [3e-3 * 1.3] * 5}
    decided = decide(compare_runs(run(tmp_path, "a"), run(tmp_path, "b", seconds=new), 0.02), 0.02)
    assert {d.verdict for d in decided} == {"UNCLEAR"}
    reasons = {d.pair.backend: d.reason for d in decided}
    assert "the other backends' ratios to the control moved, too, by +" in reasons["base"]
    assert "the baseline's ratio to the control moved by +" in reasons["mine"]


@pytest.mark.parametrize(("factor", "verdict"), [(1.17, "UNCLEAR"), (1.4, "SLOWER")])
def test_the_only_backend_of_a_cell_needs_a_very_large_change(tmp_path, factor, verdict):
    def alone(name, factor):
        about, frames = run(tmp_path, name, seconds={"base": [2e-3 * factor] * 5})
        return about, replace(frames, rows=frames.rows[frames.rows["backend"] == "base"])

    assert set(verdicts(compare_runs(alone("a", 1), alone("b", factor), 0.02), "base")) == {verdict}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machine": {**MACHINE, "cpu": "another"}}, "different machines: cpu one and another"),
        ({"threads": 4}, "2 threads and with 4"),
        ({"control": None}, "the control of the new run has too few samples: 0 undisturbed samples of 0; measure again"),
    ],
)
def test_what_cannot_be_compared_is_unclear(tmp_path, change, said):
    pairs = compare_runs(run(tmp_path, "a"), run(tmp_path, "b", seconds={"mine": [9e-3] * 5}, **change), 0.02)
    assert verdicts(pairs) == ["UNCLEAR"] * 5
    assert all(said in d.reason for d in decide(pairs, 0.02))


def test_a_row_that_went_wrong_is_bad_even_on_another_machine(tmp_path):
    new = run(tmp_path, "b", statuses={"mine": "WRONG"}, machine={**MACHINE, "cpu": "another"})
    found = [d for d in decide(compare_runs(run(tmp_path, "a"), new, 0.02), 0.02) if d.pair.backend == "mine"]
    assert all(d.bad and d.pair.broken and d.pair.new.reason == "as said" for d in found)


def test_samples_of_disturbed_blocks_do_not_count(tmp_path):
    old, (about, frames) = run(tmp_path, "a"), run(tmp_path, "b")
    samples = frames.samples.copy()
    mine = samples["row_id"].isin(frames.rows.loc[frames.rows["backend"] == "mine", "row_id"]) & (samples["block"] < 35)
    samples.loc[mine, "wall_s"] *= 10
    samples.loc[mine, "used"] = False
    pairs = compare_runs(old, (about, replace(frames, samples=samples)), 0.02)
    assert all(0.97 < p.change.ratio < 1.03 for p in pairs)


def test_where_the_baseline_scatters_more_from_run_to_run_the_intervals_are_wider(tmp_path):
    calm = compare_runs(run(tmp_path, "a"), run(tmp_path, "b"), 0.02)
    wild = compare_runs(run(tmp_path, "c"), run(tmp_path, "d", seconds={"base": [1.6e-3, 1.8e-3, 2e-3, 2.2e-3, 2.4e-3]}), 0.02)
    width = [np.log(pairs[1].change.high / pairs[1].change.low) for pairs in (calm, wild)]
    assert width[1] > 2 * width[0]


@pytest.fixture
def compared(tmp_path, monkeypatch, capsys):
    """Runs `lstm-parity compare` in a folder with a store of run a; returns the exit code and both outputs."""
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path, "a")

    def call(*words):
        return main(["compare", *words]), *capsys.readouterr()

    return call


def test_a_run_is_not_compared_with_itself(compared):
    code, _, err = compared("a.sqlite", "a.sqlite")
    assert code == 2
    assert "are the same run, a; `lstm-parity runs` lists others" in err


def test_two_stores_are_compared_and_the_verdicts_written(compared, tmp_path):
    make_run(tmp_path, "b", seconds={"mine": [3e-3, 3e-3 * 1.3, 3e-3, 3e-3, 3e-3]})
    code, out, _ = compared("a.sqlite", "b.sqlite", "--json", "c.json", "--markdown", "c.md")
    assert code == 1
    assert out.startswith("compare: b over a\n    old: run a of a.sqlite, ")
    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["old"], found["new"], found["counts"]["SLOWER"]) == ("a", "b", 1)
    assert "**SLOWER**" in (tmp_path / "c.md").read_text()
    assert compared("a.sqlite#a", "b", "--store", "b.sqlite")[1] == out
    assert compared("a.sqlite", "b.sqlite", "--threshold", "50%")[0] == 0


def test_a_run_that_is_not_finished_is_not_compared(compared):
    with closing(sqlite3.connect("a.sqlite")) as db, db:
        db.execute("UPDATE runs SET finished_at = NULL")
    for words, said in ((["a.sqlite"] * 2, "holds no finished run"), (["a.sqlite#a"] * 2, "run a of a.sqlite is not finished")):
        code, _, err = compared(*words)
        assert (code, said in err) == (2, True), err
