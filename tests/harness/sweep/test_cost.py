"""Operations, bytes and memory, counted again by walking through the equations and the arrays."""

import numpy as np
import pytest

from lstm_parity.backends import LSTMState
from lstm_parity.harness.problems.call_inputs import draw_rows, draw_weights
from lstm_parity.harness.records import Cell
from lstm_parity.harness.sweep import cost

CELLS = [
    Cell.of(input_size=3, hidden_size=5, sequence_length=4, batch_size=2),
    Cell.of(input_size=3, hidden_size=5, sequence_length=4, batch_size=2, mode="training"),
    Cell.of(
        input_size=7, hidden_size=5, sequence_length=2, batch_size=3, num_layers=3, bidirectional=True, precision="float64"
    ),
    Cell.of(input_size=2, hidden_size=6, sequence_length=3, batch_size=1, num_layers=2, proj_size=4, bidirectional=True),
    Cell.of(input_size=2, hidden_size=6, sequence_length=3, batch_size=4, bias=False, peephole=True, precision="bfloat16"),
    Cell.of(input_size=2, hidden_size=6, sequence_length=3, batch_size=4, mode="training", precision="float16"),
]


class Counter:
    """Stands for a number in a matrix product: counts multiplications and additions."""

    def __init__(self):
        self.operations = 0

    def product(self, matrix, columns):
        """The operations of matrix [m, n] times [n, columns]."""
        m, n = matrix.shape
        for _ in range(columns):
            self.operations += m * n  # multiplications
            self.operations += m * n  # additions, those to the other product or the bias among them


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_flops_are_those_of_the_matrix_products_step_by_step(cell):
    counter = Counter()
    weights = draw_weights(cell.spec, 0)
    for _ in range(cell.sequence_length):
        for layer in weights.layers:
            for direction in layer:
                counter.product(direction.w_ih, cell.batch_size)
                counter.product(direction.w_hh, cell.batch_size)
                if direction.w_hr is not None:
                    counter.product(direction.w_hr, cell.batch_size)
    assert cost.flops(cell) == counter.operations * (3 if cell.training else 1)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_bytes_are_those_of_the_arrays(cell):
    weights = draw_weights(cell.spec, 0)
    inputs = draw_rows(cell, 0, 1, 0, np.arange(cell.batch_size))
    y = np.empty((*inputs.x.shape[:2], cell.spec.output_size), cell.spec.dtype)
    times = 2 if cell.training else 1
    assert cost.io_bytes(cell) == times * (inputs.x.nbytes + y.nbytes)
    assert cost.weight_bytes(cell) == times * sum(a.nbytes for _, a in weights.items())
    assert cost.weight_count(cell) == sum(a.size for _, a in weights.items())


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_memory_is_bounded_from_below_by_what_must_be_held(cell):
    weights = sum(a.nbytes for _, a in draw_weights(cell.spec, 0).items())
    inputs = draw_rows(cell, 0, 1, 0, np.arange(cell.batch_size))
    assert cost.memory_bytes(cell) > 2 * weights + 2 * inputs.x.nbytes
    assert LSTMState.zeros(cell.spec, 1).h.nbytes < cost.memory_bytes(cell)


def test_the_costs_of_a_known_problem():
    """T=10, B=2, I=3, H=4: 8 H (I + H) = 224 operations a row and step."""
    cell = Cell.of(input_size=3, hidden_size=4, sequence_length=10, batch_size=2)
    assert cost.flops(cell) == 10 * 2 * 224
    assert cost.io_bytes(cell) == 4 * 10 * 2 * (3 + 4)
    assert cost.weight_count(cell) == 16 * 3 + 16 * 4 + 32


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (7, 1), (50, 3), (50, 64), (200, 16)])
def test_drawn_lengths_have_at_least_the_least_share_of_steps(steps, batch):
    cell = Cell.of(input_size=1, hidden_size=1, sequence_length=steps, batch_size=batch, lengths="ragged")
    share = cost.min_share(cell)
    assert 1 / steps <= share <= 1
    assert cost.min_share(Cell(sequence_length=steps, batch_size=batch)) == 1
    rng = np.random.default_rng(3)
    drawn = rng.integers(1, steps + 1, (4000, batch)).sum(axis=1) / (steps * batch)
    assert (drawn < share).mean() < 0.01
    assert batch < 60 or share > 0.3
