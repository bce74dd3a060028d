"""Values to run an LSTM on, drawn from a seed.

The gates must differ from each other and lie between saturation and zero, or a wrong LSTM looks right: x ~ N(0, 1); W, U, W_hr
~ N(0, 1.5 / sqrt(fan-in)); b ~ N(0, 0.5); peepholes ~ N(0, 0.5); h0 ~ U(-0.9, 0.9); c0 ~ N(0, 1). Called "spread" in a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array


@dataclass(frozen=True, eq=False)
class Inputs:
    """What one call gets. x [T, B, I]; lengths int64 [B] or None; for training grad_y [T, B, D*R] and grad_state."""

    x: Array
    state: LSTMState
    lengths: Array | None = None
    grad_y: Array | None = None
    grad_state: LSTMState | None = None


def spread_weights(spec: LSTMSpec, rng: np.random.Generator) -> LSTMWeights:
    """Weights for `spec` in its storage dtype."""

    def direction(layer: int) -> DirectionWeights:
        arrays = {}
        for name, shape in spec.weight_shapes(layer).items():
            if shape is not None:
                deviation = 1.5 / shape[1] ** 0.5 if name.startswith("w_") else 0.5
                arrays[name] = (rng.standard_normal(shape, np.float32) * np.float32(deviation)).astype(spec.dtype)
        return DirectionWeights(**arrays)

    return LSTMWeights(tuple(tuple(direction(l) for _ in range(spec.num_directions)) for l in range(spec.num_layers)))


def spread_inputs(
    spec: LSTMSpec, steps: int, batch: int, rng: np.random.Generator, *, ragged: bool = False, training: bool = False
) -> Inputs:
    """Inputs for `spec` in its storage dtype. ragged: lengths uniform in 1..T; training: gradients ~ N(0, 1) to go back."""

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape, np.float32).astype(spec.dtype, copy=False)

    rows = spec.num_layers * spec.num_directions
    x = normal(steps, batch, spec.input_size)
    h0 = rng.uniform(-0.9, 0.9, (rows, batch, spec.state_size)).astype(spec.dtype)
    c0 = normal(rows, batch, spec.hidden_size)
    lengths = rng.integers(1, steps + 1, batch) if ragged else None
    if not training:
        return Inputs(x, LSTMState(h0, c0), lengths)
    grad_y = normal(steps, batch, spec.output_size)
    return Inputs(x, LSTMState(h0, c0), lengths, grad_y, LSTMState(normal(*h0.shape), normal(*c0.shape)))
