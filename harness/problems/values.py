"""Values to run an LSTM on, drawn from a seed.

The gates must differ from each other and be neither saturated nor near zero, or a wrong LSTM may look right: x ~ N(0, 1); W, U,
W_hr ~ N(0, 1.5 / sqrt(fan-in)); b ~ N(0, 0.5); peepholes ~ N(0, 0.5); h0 ~ U(-0.9, 0.9); c0 ~ N(0, 1). This regime is called
"spread".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array


@dataclass(frozen=True, eq=False)
class Inputs:
    """The arguments of one call."""

    x: Array
    """[T, B, I]."""
    state: LSTMState
    """h0 [L*D, B, R] and c0 [L*D, B, H]."""
    lengths: Array | None = None
    """int64 [B], or None if all rows have T steps."""
    grad_y: Array | None = None
    """[T, B, D*R]; for training, as grad_state."""
    grad_state: LSTMState | None = None
    """Shaped like the state."""

    def arrays(self) -> list[Array]:
        """x, h0, c0 and, for training, grad_y and the gradients of h_n and c_n: the batch is the second axis of each."""
        states = [self.state] if self.grad_state is None else [self.state, self.grad_state]
        outer = [self.x] if self.grad_y is None else [self.x, self.grad_y]
        return [array for first, state in zip(outer, states, strict=True) for array in (first, state.h, state.c)]

    def with_arrays(self, arrays: Iterable[Array], lengths: Array | None) -> Inputs:
        """The same kind of inputs with other arrays, in the order of `arrays`."""
        x, h, c, *back = arrays
        grad_y, grad_state = (back[0], LSTMState(*back[1:])) if back else (None, None)
        return Inputs(x, LSTMState(h, c), lengths, grad_y, grad_state)


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
    """Inputs for `spec` in its storage dtype. ragged: lengths uniform in 1..T; training: grad_y and grad_state ~ N(0, 1)."""

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


def word_vectors(words: Sequence[str], size: int) -> Array:
    """A vector [size] for each word, N(0, 1), which depends on the word alone: [T, 1, size]; 0 for the empty word."""
    vectors = [np.random.default_rng(zlib.crc32(word.encode())).standard_normal(size) * bool(word) for word in words]
    return np.asarray(vectors)[:, None]
