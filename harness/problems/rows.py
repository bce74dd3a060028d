"""Parts of results: rows of a batch, which are independent of each other, last outputs, and sampled elements."""

from __future__ import annotations

import numpy as np

from lstm_parity.backends import LSTMSpec
from lstm_parity.backends.problem import Array

from .values import Inputs


def take_rows(inputs: Inputs, rows: Array) -> Inputs:
    """The inputs of these rows [r] of the batch, in this order."""
    lengths = None if inputs.lengths is None else inputs.lengths[rows]
    return inputs.with_arrays((np.asarray(array)[:, rows] for array in inputs.arrays()), lengths)


def last_outputs(spec: LSTMSpec, inputs: Inputs, y: Array) -> Array:
    """What the last layer's h_n [D, B, R] must be, given y [T, B, D*R]: y at the last valid step of each row.

    At the first, for the reverse direction; the initial state, for rows of length 0.
    """
    steps, batch, r = len(y), y.shape[1], spec.state_size
    lengths = np.full(batch, steps) if inputs.lengths is None else inputs.lengths
    ends = (np.maximum(lengths - 1, 0), np.zeros(batch, np.int64))[: spec.num_directions]
    h0 = inputs.state.h[-spec.num_directions :]
    outputs = [y[end, np.arange(batch), d * r : (d + 1) * r] for d, end in enumerate(ends)]
    return np.where((lengths > 0)[None, :, None], np.stack(outputs), h0).astype(np.float64)


def sample_elements(shape: tuple[int, ...], count: int) -> tuple[Array, ...]:
    """The indices, by axis, of up to `count` elements of an array of this shape; the same for every call."""
    return np.unravel_index(np.random.default_rng(0).permutation(int(np.prod(shape)))[:count], shape)
