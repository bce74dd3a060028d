"""Inputs of a cell's calls: a row drawn separately is that of the ring, and no call repeats the inputs of an earlier one."""

import numpy as np
import pytest

from lstm_parity.harness.problems import call_inputs
from lstm_parity.harness.problems.call_inputs import (
    InputRing,
    call_key,
    draw_batch,
    draw_rows,
    draw_weights,
    fresh_row,
    secret_seed,
)
from lstm_parity.harness.records import Cell

KINDS = {
    "plain": {},
    "ragged": {"lengths": "ragged"},
    "training": {"mode": "training"},
    "everything": {"mode": "training", "lengths": "ragged", "bidirectional": True, "num_layers": 2, "proj_size": 3},
    "bfloat16": {"precision": "bfloat16", "mode": "training"},
    "float64": {"precision": "float64"},
}


@pytest.fixture(params=["all rows", "one row"])
def rows_per_turn(request, monkeypatch):
    """How many rows are drawn for each turn; of the others only the signs change."""
    if request.param == "one row":
        monkeypatch.setattr(call_inputs, "MIN_DRAWN", 1)


def cell(kind, batch=3):
    return Cell.of(input_size=5, hidden_size=4, sequence_length=6, batch_size=batch, **KINDS[kind])


def filled(problem, seed, size):
    """A ring with the inputs of its first calls."""
    ring = InputRing(problem, size)
    for call in range(size):
        ring.draw(call_key(seed, call))
    return ring


def arrays(inputs):
    found = {"x": inputs.x, "h0": inputs.state.h, "c0": inputs.state.c, "grad_y": inputs.grad_y}
    if inputs.grad_state is not None:
        found |= {"grad_h": inputs.grad_state.h, "grad_c": inputs.grad_state.c}
    if inputs.lengths is not None:
        found["lengths"] = inputs.lengths[None]
    return {name: array for name, array in found.items() if array is not None}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "size", "seed"), [(1, 2, 0), (3, 2, 1), (4, 3, 2), (2, 5, 3)])
@pytest.mark.usefixtures("rows_per_turn")
def test_a_row_drawn_alone_is_the_row_of_the_ring(kind, batch, size, seed):
    problem = cell(kind, batch)
    ring = filled(problem, seed, size)
    rng = np.random.default_rng(seed)
    for call in range(4 * size * batch):
        whole = arrays(ring.take(call))
        rows = np.unique(rng.integers(0, batch, 2))
        alone = arrays(draw_rows(problem, seed, size, call, rows))
        assert whole.keys() == alone.keys()
        assert ("grad_y" in whole) == problem.training
        assert ("lengths" in whole) == problem.ragged
        for name in whole:
            assert whole[name].dtype == alone[name].dtype
            assert whole[name][:, rows].tobytes() == alone[name].tobytes(), (name, call, seed)
        ring.draw(call_key(seed, ring.drawn))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "size"), [(1, 2), (3, 2), (2, 4)])
@pytest.mark.usefixtures("rows_per_turn")
def test_every_call_differs_from_all_before_it_in_its_fresh_row(kind, batch, size):
    problem = cell(kind, batch)
    ring = filled(problem, 7, size)
    seen = set()
    for call in range(4 * size * batch):
        inputs = arrays(ring.take(call))
        row = fresh_row(problem, call // size) if call >= size else 0
        for name in inputs.keys() - {"lengths"}:
            row_bytes = (name, inputs[name][:, row].tobytes())
            assert row_bytes not in seen, (call, name)
        seen |= {(name, array[:, r].tobytes()) for name, array in inputs.items() for r in range(batch)}
        ring.draw(call_key(7, ring.drawn))


def test_taken_inputs_do_not_change_and_only_the_last_ones_can_be_taken():
    ring = filled(cell("training"), 3, 2)
    inputs = arrays(ring.take(0))
    taken = {name: array.copy() for name, array in inputs.items()}
    ring.draw(call_key(3, 2))
    for name, array in inputs.items():
        assert array.tobytes() == taken[name].tobytes()
    for call in (0, 3):
        with pytest.raises(AssertionError):
            ring.take(call)


def test_a_batch_has_the_requested_rows_and_zeros():
    problem = cell("everything", 5)
    rows = np.array([1, 4])
    whole, alone = draw_batch(problem, 9, 2, 7, rows), draw_rows(problem, 9, 2, 7, rows)
    for name, array in arrays(whole).items():
        assert array[:, rows].tobytes() == arrays(alone)[name].tobytes()
        assert not np.delete(array, rows, 1).any()
        assert array.shape[1] == 5
    assert whole.x.shape == (6, 5, 5)


def test_weights_and_inputs_are_a_function_of_the_seed():
    problem = cell("plain")
    first, again, other = (dict(draw_weights(problem.spec, seed).items()) for seed in (1, 1, 2))
    for path, array in first.items():
        assert array.tobytes() == again[path].tobytes()
        assert array.tobytes() != other[path].tobytes()
    rows = np.arange(3)
    assert draw_rows(problem, 1, 2, 0, rows).x.tobytes() != draw_rows(problem, 2, 2, 0, rows).x.tobytes()
    assert draw_rows(problem, 1, 2, 0, rows).x.tobytes() != draw_rows(problem, 1, 2, 1, rows).x.tobytes()
    assert len({call_key(seed, call) for seed in range(9) for call in range(9)}) == 81
    assert len({secret_seed() for _ in range(9)}) == 9


def test_ragged_lengths_are_between_1_and_the_number_of_steps():
    lengths = draw_rows(cell("ragged", 200), 5, 1, 0, np.arange(200)).lengths
    assert lengths.dtype == np.int64
    assert set(lengths) == {1, 2, 3, 4, 5, 6}
