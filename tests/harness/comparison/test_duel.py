"""What a duel chooses where nothing is said."""

import pytest

import harness.comparison.command
from harness.cli import main
from harness.comparison import duel


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (16, 15)])
def test_one_core_is_left_to_the_rest_of_the_machine(cores, threads, monkeypatch):
    monkeypatch.setattr(duel, "cpu_count", lambda: cores)
    assert duel.duel_threads() == threads


@pytest.mark.parametrize(("words", "threads", "budget_s"), [([], 1, 2.0), (["--threads", "4", "--budget", "3"], 4, 3.0)])
def test_what_is_said_counts_and_else_the_duels_own(words, threads, budget_s, monkeypatch):
    seen = []
    monkeypatch.setattr(duel, "cpu_count", lambda: 2)
    monkeypatch.setattr(harness.comparison.command, "duel", lambda definition, *_: seen.append(definition) or 0)
    assert main(["duel", "numpy", "torch-cpu", *words]) == 0
    assert [(d.threads, d.budget_s) for d in seen] == [(threads, budget_s)]


def test_each_round_has_every_cell_once_in_an_order_of_its_own():
    orders = [duel._shuffled(12, seed) for seed in range(5)]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5
