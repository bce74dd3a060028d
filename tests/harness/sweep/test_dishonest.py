"""Dishonest backends get no time and are named; honest ones that look like them, or search for what a cheat needs, are timed.

A backend is a file in dishonest/ or honest/: its docstring says what it does, and its constants what its row must say. STATUS;
REASON, a pattern for the whole reason; MIN_MEDIAN_S, for one whose cheat has no effect and that is timed in full; MODE,
"inference" where nothing else is said; OWN_PROCESS for one that changes or ends the process it runs in. Those are measured by a
sweep from the command line, in workers; all others in this process, by the same code, without the workers' start.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.records import TIMED, Cell
from lstm_parity.harness.sweep.inputs import InputRing, call_key, draw_rows
from lstm_parity.harness.sweep.messages import CheckRequest, Open, Prepare
from lstm_parity.harness.sweep.sampling import Participant
from lstm_parity.harness.sweep.session import Session
from lstm_parity.harness.worker.messages import Describe

pytestmark = [pytest.mark.deep, pytest.mark.quiet]

HERE = Path(__file__).parent
SIZES = {"input_size": 17, "hidden_size": 17, "sequence_length": 16, "batch_size": 8}
"""Of this kind are cells in which most rows only change their signs from one call to the next."""
BUDGET_S = {"inference": 2.0, "training": 1.0}


@dataclass(frozen=True)
class Entry:
    """One file of the catalogue, read without running it."""

    path: Path
    does: str
    honest: bool
    statuses: tuple[str, ...]
    reason: str
    min_median_s: float
    mode: str
    own_process: bool

    @property
    def backend(self):
        return f"{self.path}:{'Honest' if self.honest else 'Cheat'}"


def read_entry(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target, names = node.targets[0], node.value
            pairs = zip(target.elts, names.elts, strict=True) if isinstance(target, ast.Tuple) else [(target, names)]
            said |= {name.id: value for name, value in pairs}

    def constant(name, default):
        return ast.literal_eval(said[name]) if name in said else default

    honest = path.parent.name == "honest"
    status = "TIMED" if honest else ast.literal_eval(said["STATUS"])
    return Entry(
        path,
        ast.get_docstring(tree),
        honest,
        TIMED if status == "TIMED" else (status,),
        constant("REASON", ".*"),
        constant("MIN_MEDIAN_S", 1e-5),  # nobody computes this cell in 10 microseconds
        constant("MODE", "inference"),
        constant("OWN_PROCESS", False),
    )


CATALOGUE = {
    path.stem: read_entry(path)
    for folder in ("dishonest", "honest")
    for path in sorted((HERE / folder).glob("*.py"))
    if path.name != "cheating.py"
}


def in_this_process(mode, in_process_worker, measure):
    """Rows of all that need no process of their own."""
    workers = {"numpy": in_process_worker()}
    workers |= {
        e.path.stem: in_process_worker(backend=e.backend)
        for e in CATALOGUE.values()
        if (e.mode, e.own_process) == (mode, False)
    }
    promises = {name: worker.ask(Describe(), 0).capabilities for name, worker in workers.items()}
    cell = Cell.of(**SIZES, mode=mode, cache="warm")
    with pytest.MonkeyPatch.context() as patch:  # background load would excuse late answers
        patch.setattr("lstm_parity.harness.sweep.sampling.busy_seconds", lambda: None)
        found = measure(cell, workers, promises=promises, budget_s=BUDGET_S[mode]).results
    return {row.backend: {"status": row.status, "reason": row.reason, "median_s": row.median_s} for row, _ in found}


def in_workers(bench):
    """Rows of a sweep of all others."""
    named = {e.backend: e.path.stem for e in CATALOGUE.values() if e.own_process}
    sizes = [word for axis, size in SIZES.items() for word in ("--" + axis.replace("_", "-"), str(size))]
    done = bench.sweep(bench.tiny(["numpy", *named], budget=3), *sizes, "--warm", "--threads", "1", timeout=240)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return {named[row["backend"]]: row for row in bench.rows() if row["backend"] in named}


@pytest.fixture(scope="module")
def rows(shared_bench, in_process_worker, measure):
    found = [in_this_process(mode, in_process_worker, measure) for mode in BUDGET_S]
    return found[0] | found[1] | in_workers(shared_bench)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_cheat_is_named_and_an_honest_one_is_timed(rows, name):
    row, entry = rows[name], CATALOGUE[name]
    said = f"{entry.does} {row['status']}: {row['reason']}, {row['median_s']} s"
    assert row["status"] in entry.statuses, said
    assert re.fullmatch(entry.reason, row["reason"] or ""), said
    if row["status"] in TIMED:
        assert row["median_s"] >= entry.min_median_s, said
    else:
        assert row["median_s"] is None, said


def test_every_entry_says_what_it_does():
    assert all(entry.does for entry in CATALOGUE.values())
    assert {entry.mode for entry in CATALOGUE.values()} == set(BUDGET_S)


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
