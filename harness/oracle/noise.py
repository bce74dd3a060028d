"""Monte Carlo arithmetic: the float64 reference with a random error at every operation that a lower precision rounds.

D. S. Parker, Monte Carlo Arithmetic, 1997. The saved activations that backpropagation reads include their errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMWeights
from lstm_parity.backends.numpy_reference import Trace, backward, forward
from lstm_parity.backends.problem import Array

from ..problems.rows import take_rows
from ..problems.values import Inputs
from . import simulated
from .results import gradient_tensors
from .roundoff import ROUNDOFF, Roundoff
from .simulated import Arithmetic

NOISY_RUNS = 8
"""Number of noisy runs, even. Half of them run as one batch, which takes far fewer calls."""

MIN_DRAWN = 1 << 14
"""Random numbers drawn at a time, at least: most arrays are small, and a call costs as much as thousands of numbers."""

ACTIVATIONS = 5
"""Calls of `activated` a step: i, f, g, o and tanh(c)."""

ROW_AXIS = {"y": 1, "h_n": 1, "c_n": 1, "gradient of x": 1, "gradient of h0": 1, "gradient of c0": 1}
"""Tensors in which the rows of the batch are independent, and their batch axis."""


@dataclass(eq=False)
class NoisyArithmetic(Arithmetic):
    """float64 with random errors of a lower precision's size, uniform in -1..1 times the roundoff."""

    runs: int = 1
    """The batch consists of this many runs,"""
    rows: int = 1
    """of this many rows each."""
    kind: Roundoff = ROUNDOFF["float64"]
    """Of the precision."""
    activation: float = 0.0
    """Absolute error of sigmoid and tanh."""
    one_way: bool = False
    """Errors that may have a common sign have one, instead of random signs: operands of products are truncated to TF32 where
    the precision allows it, and each unit's activations have the whole allowed error with the same sign at every step, since a
    library's error is a function of the argument."""
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    _drawn: Array = field(default_factory=lambda: np.empty(0, np.float32))
    _calls: int = 0
    _signs: dict[Any, Array] = field(default_factory=dict)
    _left: dict[Any, tuple[Array, Array, Array]] = field(default_factory=dict)

    def _noise(self, array: Array) -> Array:
        """Uniform in -1..1, shaped like the array."""
        if len(self._drawn) < array.size:
            self._drawn = self.rng.random(max(array.size, MIN_DRAWN), np.float32)
            self._drawn *= 2
            self._drawn -= 1
        xi, self._drawn = self._drawn[: array.size], self._drawn[array.size :]
        return xi.reshape(array.shape)

    def stored(self, array: Array) -> Array:
        """With the rounding of the storage dtype."""
        noise = self._noise(array)
        return np.asarray(array + noise * (self.kind.storage * np.abs(array) + self.kind.tiny))

    def rounded(self, array: Array) -> Array:
        """With one rounding of the arithmetic, or of the 16-bit format in which intermediates may be kept."""
        return np.asarray(array + self._noise(array) * (max(self.kind.arithmetic, self.kind.inside) * array))

    def activated(self, array: Array) -> Array:
        """With the allowed error of an activation, and then rounded."""
        if not self.one_way:
            return self.rounded(array + self._noise(array) * self.activation)
        self._calls = (self._calls + 1) % ACTIVATIONS
        key = (self._calls, array.shape)
        if key not in self._signs:
            self._signs[key] = np.sign(self._noise(array))
        return self.rounded(array + self._signs[key] * self.activation)

    def product(self, a: Array, b: Array) -> Array:
        """a @ b with the errors of its operands, of its sums, and of rounding the result to 16 bits."""
        kind = self.kind
        a, squares = self._prepared(a)
        size = np.sqrt(squares @ np.square(b))
        blur = kind.arithmetic * np.sqrt(a.shape[1])
        if kind.operands and self.one_way:
            b = truncated(b)
        elif kind.operands:
            blur += np.sqrt(2) * kind.operands
        size *= blur
        p: Array = a @ b
        if kind.inside:
            size += kind.inside * np.abs(p)
        size *= self._noise(p)
        p += size
        return p

    def summed(self, a: Array, b: Array) -> Array:
        """As `product`, for each run separately: [runs, m, n] from a [m, T * runs * rows] and b [T * runs * rows, n]."""
        a_runs = a.reshape(len(a), -1, self.runs, self.rows)
        b_runs = b.reshape(-1, self.runs, self.rows, b.shape[1])
        parts = [
            self.product(a_runs[:, :, k].reshape(len(a), -1), b_runs[:, k].reshape(-1, b.shape[1])) for k in range(self.runs)
        ]
        return np.stack(parts)

    def _prepared(self, a: Array) -> tuple[Array, Array]:
        """A left operand as it is multiplied, and its squares: cached, since at most steps it is the same weights."""
        key = (a.__array_interface__["data"][0], a.shape, a.strides)
        if key not in self._left:
            while len(self._left) >= 2:
                del self._left[next(iter(self._left))]
            cut = truncated(a) if self.kind.operands and self.one_way else a
            self._left[key] = (a, cut, np.square(a))  # with a itself: as long as it exists, no other array has its address
        return self._left[key][1:]


def truncated(array: Array) -> Array:
    """float64 values truncated to the 10 mantissa bits of TF32."""
    bits = np.ascontiguousarray(array, np.float64).view(np.int64) & np.int64(-1 << 42)
    return bits.view(np.float64)


def run_once(spec: LSTMSpec, weights: LSTMWeights, inputs: Inputs, arithmetic: Arithmetic | None = None) -> dict[str, Array]:
    """Every tensor of one run by name: y, h_n, c_n and, with grad_y, the gradients. arithmetic: None is the reference's."""
    trace = None if inputs.grad_y is None else Trace()
    given = (spec, weights, inputs.x, inputs.state, inputs.lengths)
    y, last = forward(*given, trace) if arithmetic is None else simulated.forward(*given, arithmetic, trace)
    tensors = {"y": y, "h_n": last.h, "c_n": last.c}
    if trace is not None and inputs.grad_y is not None and inputs.grad_state is not None:
        saved = (spec, weights, trace, inputs.grad_y, inputs.grad_state)
        tensors |= gradient_tensors(backward(*saved) if arithmetic is None else simulated.backward(*saved, arithmetic))
    return tensors


def noisy_runs(
    spec: LSTMSpec, weights: LSTMWeights, inputs: Inputs, activation_ulps: float, seed: int
) -> Iterator[dict[str, Array]]:
    """NOISY_RUNS runs of the reference with the errors of the spec's precision."""
    kind, rng = ROUNDOFF[spec.precision], np.random.default_rng([seed, 1])
    batch, runs = inputs.x.shape[1], NOISY_RUNS // 2
    repeated = take_rows(inputs, np.tile(np.arange(batch), runs))
    for one_way in (True, False):
        activation = activation_ulps * kind.arithmetic
        noisy = NoisyArithmetic(runs=runs, rows=batch, kind=kind, activation=activation, one_way=one_way, rng=rng)
        tensors = run_once(spec, weights, repeated, noisy)
        for k in range(runs):
            one = {
                name: array[:, k * batch : (k + 1) * batch] if name in ROW_AXIS else array[k] for name, array in tensors.items()
            }
            # a weight's gradient may be accumulated over the steps in 16 bits: T roundings of partial sums whose mean square is
            # about half that of the largest
            for name, array in one.items():
                if kind.inside and name not in ROW_AXIS:
                    size = kind.inside * np.sqrt(len(inputs.x) / 2) * np.abs(array).max()
                    one[name] = array + size * rng.uniform(-1, 1, array.shape)
            yield one
