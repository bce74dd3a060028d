"""What a cell costs in theory: floating-point operations, bytes that must be moved, and memory that is needed."""

from __future__ import annotations

from math import prod

from ..records import Cell


def flops(cell: Cell) -> int:
    """Multiplications and additions of the matrix products of one call; a training call costs three forwards.

    Per step, row, direction and layer: 2 * 4H * (n + R) for W x and U h', with n the width of what the layer reads, and
    2 * P * H for a projection, over all T steps of all rows. Elementwise work is left out, so this is a lower bound.
    """
    spec = cell.spec
    per_row = sum(
        spec.num_directions * 2 * (4 * spec.hidden_size * (spec.layer_input_size(l) + spec.state_size))
        + spec.num_directions * 2 * spec.proj_size * spec.hidden_size
        for l in range(spec.num_layers)
    )
    forward = cell.sequence_length * cell.batch_size * per_row
    return 3 * forward if cell.training else forward


def min_share(cell: Cell) -> float:
    """The share of all steps that the calls of a cell have at least: 1, or less where lengths are drawn from 1..T.

    Their sum over B rows has mean B (T + 1) / 2 and deviation T sqrt(B / 12); this is three deviations below the mean.
    """
    if not cell.ragged:
        return 1.0
    steps, batch = cell.sequence_length, cell.batch_size
    total = batch * (steps + 1) / 2 - 3 * steps * (batch / 12) ** 0.5
    return float(max(total, batch) / (steps * batch))


def weight_count(cell: Cell) -> int:
    """Numbers in all weights."""
    spec = cell.spec
    return sum(
        spec.num_directions * prod(shape)
        for l in range(spec.num_layers)
        for shape in spec.weight_shapes(l).values()
        if shape is not None
    )


def io_bytes(cell: Cell) -> int:
    """Bytes of x and y, for training also of their gradients: what one call must read and write at least."""
    spec = cell.spec
    numbers = cell.sequence_length * cell.batch_size * (spec.input_size + spec.output_size)
    return spec.dtype.itemsize * numbers * (2 if cell.training else 1)


def weight_bytes(cell: Cell) -> int:
    """Bytes of all weights in the storage dtype; for training also of their gradients."""
    return cell.spec.dtype.itemsize * weight_count(cell) * (2 if cell.training else 1)


def memory_bytes(cell: Cell) -> int:
    """A rough lower bound of the host memory that one backend's worker and the reference need together.

    The worker: weights, drawn and packed, for training also their gradients; two input sets; for training what is saved for
    backward, ten arrays of [T, B, H] a layer and direction. The reference: weights and four checked rows in float64.
    """
    spec = cell.spec
    directions = spec.num_layers * spec.num_directions
    saved = 10 * directions * cell.sequence_length * cell.batch_size * spec.hidden_size if cell.training else 0
    worker = spec.dtype.itemsize * (weight_count(cell) * (4 if cell.training else 2) + saved) + 2 * io_bytes(cell)
    rows = cell.batch_size if cell.training else min(4, cell.batch_size)
    reference = 8 * (weight_count(cell) * (3 if cell.training else 1) + (saved // cell.batch_size) * rows)
    return worker + reference
