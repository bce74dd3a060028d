"""What forward and backward of CorrectLSTM share: arithmetic, packed weights, and what forward leaves for backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMBackend, LSTMSpec
from lstm_parity.backends.problem import Array

Layers = list[list[DirectionWeights]]
"""Weights by layer and direction."""


@dataclass(slots=True)
class Packed:
    """Weights of one direction of one layer, in the dtype of the arithmetic, for row-wise products."""

    layer: int
    direction: int
    w_ih: Array
    """[n, 4H]"""
    w_hh: Array
    """[R, 4H]"""
    bias: Array | None
    """[4H], the sum of both"""
    w_hr: Array | None
    """[H, P]"""
    peephole: Array | None
    """[3, H], in the order i, f, o"""


@dataclass(slots=True)
class Step:
    """One step."""

    gates: Array
    """[B, 4H], after activation"""
    h_before: Array
    """[B, R]"""
    c_before: Array
    """[B, H]"""
    c: Array
    """[B, H]"""
    tanh_c: Array
    """[B, H]"""
    m: Array
    """h before the projection [B, H]"""
    h: Array
    """[B, R]"""


@dataclass(slots=True)
class Run:
    """One direction of one layer in a training forward."""

    x: Array
    """What it read [T, B, n]."""
    steps: list[Step]
    """In the direction's own order."""
    mask: Array | None
    """Which rows have a step [T, B]."""


@dataclass(slots=True)
class Trace:
    """A training forward."""

    runs: list[list[Run]]
    """By layer and direction."""
    lengths: Array | None


class Arithmetic(LSTMBackend):
    """How numbers are computed and stored, and where rows and states are."""

    spec: LSTMSpec
    compute: np.dtype[Any]
    wide: bool
    """Whether nothing is rounded on its way to storage."""

    def arithmetic(self) -> np.dtype[Any]:
        """The dtype of the arithmetic."""
        return np.dtype(np.float64 if self.spec.precision == "float64" else np.float32)

    def load(self, array: Array) -> Array:
        """The array in the dtype of the arithmetic; the same array where it has that already."""
        return np.asarray(array).astype(self.compute, copy=False)

    def stored(self, array: Array) -> Array:
        """The array after it has been in storage."""
        return array if self.wide else array.astype(self.spec.dtype).astype(self.compute)

    def product(self, a: Array, b: Array) -> Array:
        """a @ b; every matrix product of forward and backward."""
        return np.asarray(np.matmul(self.operand(a), self.operand(b)))

    def operand(self, a: Array) -> Array:
        """An operand as it is multiplied."""
        return a

    def turned(self, x: Array, lengths: Array | None) -> Array:
        """x [T, B, n] with each row's valid steps in reverse order, and its padding where it was."""
        if lengths is None:
            return x[::-1]
        t = np.arange(len(x))[:, None]
        return np.asarray(x[np.where(t < lengths, lengths - 1 - t, t), np.arange(x.shape[1])])

    def state_index(self, layer: int, direction: int) -> int:
        """The index of a layer's and direction's state."""
        return layer * self.spec.num_directions + direction
