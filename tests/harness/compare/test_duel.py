"""What a duel chooses by default, and how its rounds become a pair."""

from types import SimpleNamespace

import pytest

import lstm_parity.harness.api.duel
import lstm_parity.harness.api.sweep
from lstm_parity.harness.cli import main
from lstm_parity.harness.compare import duel
from lstm_parity.harness.errors import CallError
from lstm_parity.harness.records import Cell, RawSample
from lstm_parity.harness.sweep.sampling import Participant


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (16, 15)])
def test_one_core_is_left_to_the_rest_of_the_machine(cores, threads, monkeypatch):
    monkeypatch.setattr(duel, "cpu_count", lambda: cores)
    assert duel.duel_threads() == threads


@pytest.mark.parametrize(
    ("words", "threads", "budget_s"),
    [([], 1, 2.0), (["--threads", "2", "--budget", "3"], 2, 3.0), (["mine.toml"], 1, 0.2), (["batch-size"], 1, 2.0)],
)
def test_options_and_files_come_before_the_duels_defaults_and_these_before_a_presets(
    words, threads, budget_s, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("budget = 0.2\n[[grid]]\n")
    seen = []

    def measure(definition, *_):
        seen.append(definition)
        raise CallError("stop")

    for module in (duel, lstm_parity.harness.api.sweep):
        monkeypatch.setattr(module, "cpu_count", lambda: 2)
    monkeypatch.setattr(lstm_parity.harness.api.duel, "measure", measure)
    assert main(["duel", "numpy", "torch-cpu", *words]) == 2
    assert [(d.threads, d.budget_s) for d in seen] == [(threads, budget_s)]


def test_each_round_has_every_cell_once_in_an_order_of_its_own():
    orders = [duel._cell_order(12, seed) for seed in range(5)]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5


SIDES = ("old", "new")


def rounds_of(monkeypatch, status, foreign_load, disturbed, gap_s=0.0):
    """The pair of a duel whose new side has that status, beside that load, in the first `disturbed` rounds."""
    monkeypatch.setattr(duel, "too_few_free_cores", lambda foreign, threads: foreign + threads > 2)
    record = duel._CellRounds()
    for number in range(duel.ROUNDS):
        odd = number < disturbed
        samples = [RawSample(b, 0, 1, 0.01 + 1e-5 * number, None, foreign_load if odd else 0.0, True) for b in range(4)]
        new = SimpleNamespace(backend="new", status=status if odd else "PASSED", reason="late", median_s=0.01)
        old = SimpleNamespace(backend="old", status="PASSED", reason=None, median_s=0.01)
        sampled = {
            b: Participant(b, None, "cpu", 60.0, 0, 2, samples=list(samples), clock_gaps=[gap_s] * 4, handovers=[0.0] * 4)
            for b in SIDES
        }
        found = SimpleNamespace(results=[(old, samples), (new, samples)], participants=sampled)
        monkeypatch.setattr(duel, "measure_cell", lambda *_, found=found: found)
        workers, context = SimpleNamespace(ready=dict, promises={}), SimpleNamespace(threads=1)
        if not record.failed:
            duel._one_round(Cell(), record, 0, workers, context, SIDES)
    return duel._pair(Cell(), record, "new")


def test_a_suspect_time_under_background_load_costs_its_round_and_not_the_cell(monkeypatch):
    pair = rounds_of(monkeypatch, "SUSPECT", 1.5, 3)
    assert (len(pair.rounds), pair.new.status, pair.why_unclear, pair.broken) == (duel.ROUNDS - 3, "PASSED", None, False)
    pair = rounds_of(monkeypatch, "SUSPECT", 1.5, 10)
    assert (pair.why_unclear, pair.broken) == ("other processes kept the machine busy in 10 of 20 rounds", False)


@pytest.mark.parametrize(("status", "foreign_load"), [("SUSPECT", 0.9), ("WRONG", 1.5)])
def test_a_failure_that_no_load_explains_counts(monkeypatch, status, foreign_load):
    pair = rounds_of(monkeypatch, status, foreign_load, 1)
    assert (pair.new.status, pair.new.reason, pair.broken) == (status, "late", True)


def test_the_clocks_are_judged_over_all_rounds(monkeypatch):
    """A worker's clock may leave out 8 ms in the four samples of one round, but not in the eighty of all."""
    pair = rounds_of(monkeypatch, "PASSED", 0.0, 0, gap_s=0.008)
    assert (pair.new.status, pair.new.reason) == (
        "SUSPECT",
        "the worker reports 0.0101 s a sample, the parent's clock 0.0181 s",
    )
    assert (pair.change, pair.broken) == (None, False)
    assert rounds_of(monkeypatch, "PASSED", 0.0, 0, gap_s=0.002).change is not None
