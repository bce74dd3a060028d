"""Dishonest backends get no time and are named; honest ones that look like them, or search for what a cheat needs, are timed.

A backend is a file in dishonest/ or honest/: its docstring says what it does, its constants what its row must say (see
tests/conftest.py; MIN_MEDIAN_S is the least time of one whose cheat has no effect). Those with OWN_PROCESS are measured by a
sweep from the command line, in workers; all others in this process, by the same code, without the start of a worker.
"""

import re
from time import perf_counter

import numpy as np
import pytest

from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.problems.call_inputs import InputRing, call_key, draw_rows
from lstm_parity.harness.records import TIMED, Cell
from lstm_parity.harness.sweep.messages import CheckRequest, Open, Prepare
from lstm_parity.harness.sweep.sampling import Participant
from lstm_parity.harness.sweep.session import Session
from lstm_parity.harness.worker.messages import Describe

pytestmark = [pytest.mark.deep, pytest.mark.quiet]

SIZES = {"input_size": 17, "hidden_size": 17, "sequence_length": 16, "batch_size": 8}
"""Of this kind are cells in which most rows only change their signs from one call to the next."""
BUDGET_S = {"inference": 1.5, "training": 0.8}
MIN_MEDIAN_S = 1e-5
"""No processor computes these cells in less."""


def in_this_process(entries, mode, in_process_worker, measure):
    """Rows of all that need no process of their own."""
    workers = {"numpy": in_process_worker()}
    workers |= {e.name: in_process_worker(backend=e.backend) for e in entries if (e.mode, e.own_process) == (mode, False)}
    promises = {name: worker.ask(Describe(), 0).capabilities for name, worker in workers.items()}
    cell = Cell.of(**SIZES, mode=mode, cache="warm")
    with pytest.MonkeyPatch.context() as patch:  # background load would excuse late answers
        patch.setattr("lstm_parity.harness.sweep.sampling.busy_seconds", lambda: None)
        found = measure(cell, workers, promises=promises, budget_s=BUDGET_S[mode]).results
    return {row.backend: {"status": row.status, "reason": row.reason, "median_s": row.median_s} for row, _ in found}


def in_workers(entries, bench):
    """Rows of a sweep of all others."""
    named = {e.backend: e.name for e in entries if e.own_process}
    sizes = [word for axis, size in SIZES.items() for word in ("--" + axis.replace("_", "-"), str(size))]
    done = bench.sweep(bench.tiny(["numpy", *named], budget=3), *sizes, "--warm", "--threads", "1", timeout=240)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return {named[row["backend"]]: row for row in bench.rows() if row["backend"] in named}


@pytest.fixture(scope="module")
def rows(catalogue, shared_bench, in_process_worker, measure):
    found = [in_this_process(catalogue, mode, in_process_worker, measure) for mode in BUDGET_S]
    return found[0] | found[1] | in_workers(catalogue, shared_bench)


def test_a_cheat_is_named_and_an_honest_one_is_timed(rows, entry):
    row = rows[entry.name]
    said = f"{entry.does} {row['status']}: {row['reason']}, {row['median_s']} s"
    assert row["status"] in entry.statuses, said
    assert re.fullmatch(entry.reason, row["reason"] or ""), said
    if row["status"] in TIMED:
        assert row["median_s"] >= MIN_MEDIAN_S, said
        assert row["median_s"] >= entry.constants.get("MIN_MEDIAN_S", 0), said
    else:
        assert row["median_s"] is None, said


def test_every_file_says_what_it_does(catalogue):
    assert all(entry.does for entry in catalogue)
    assert {entry.mode for entry in catalogue} == set(BUDGET_S)


@pytest.mark.parametrize(
    "cell",
    [
        Cell.of(input_size=1, hidden_size=1, sequence_length=1, batch_size=1),
        Cell.of(input_size=3, hidden_size=4, sequence_length=3, batch_size=8, mode="training", lengths="ragged"),
        Cell.of(input_size=1, hidden_size=300, sequence_length=3, batch_size=5, precision="bfloat16"),
        Cell.of(input_size=17, hidden_size=17, sequence_length=16, batch_size=8, mode="training", num_layers=2, proj_size=5),
        Cell.of(input_size=64, hidden_size=64, sequence_length=20, batch_size=3, lengths="ragged", precision="float64"),
    ],
    ids=str,
)
def test_no_row_comes_twice(cell):
    """Neither whole nor, from a few numbers a step on, any step of it, in any call; and the values stay as they were drawn."""
    ring, seen, steps, drawn = InputRing(cell, 2), set(), set(), []
    for call in range(60):
        ring.draw(call_key(1, call))
        inputs = ring.take(call)
        for b in range(cell.batch_size):
            row = inputs.x[:, b].tobytes() + inputs.state.h[:, b].tobytes() + inputs.state.c[:, b].tobytes()
            assert row not in seen, call
            seen.add(row)
            found = [step.tobytes() for step in inputs.x[:, b]]
            assert cell.spec.input_size < 16 or steps.isdisjoint(found), call
            steps.update(found)
        drawn.append(np.concatenate([inputs.x.ravel(), inputs.state.c.ravel()]).astype(np.float64))
    values = np.concatenate(drawn)
    if values.size > 1000:
        assert abs(values.mean()) < 0.1
        assert abs(values.std() - 1) < 0.1


def test_more_calls_a_sample_than_there_are_sets_get_inputs_of_their_own():
    """What is checked is what the calls got, also where one sample takes a set several times."""
    cell = Cell.of(input_size=17, hidden_size=17, sequence_length=16, batch_size=8)
    rows, given = np.array([0, 7]), []

    class Keeps(NumpyLSTM):
        def forward(self, x, state, lengths=None, training=False):
            given.append((x, state))
            return super().forward(x, state, lengths, training)

    session = Session(Keeps, Open(cell, 0, None, 2, 0), perf_counter)
    participant = Participant("keeps", None, "cpu", 60.0, 5, ring_size=2, calls_per_sample=9)
    session.check(CheckRequest(rows, 0, call_key(5, 0)))
    for _ in range(2):
        session.prepare(Prepare(participant.calls_made, 9, participant.next_keys()))
        session.go()
        participant.calls_made += 9
    assert len(given) == 19
    for call, (x, state) in enumerate(given):
        alone = draw_rows(cell, 5, 2, call, rows)
        assert x[:, rows].tobytes() == alone.x.tobytes(), call
        assert state.c[:, rows].tobytes() == alone.state.c.tobytes(), call
