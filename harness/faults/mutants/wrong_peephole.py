"""Wrong peepholes: missing, swapped, seeing the wrong cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed, Step
from .subject import Subject

PEEPING: dict[str, Any] = {"peephole": True}


class _Weights(Subject):
    """Other peephole weights."""

    def other(self, peephole: Array) -> Array:
        """The weights [3, H] that are used."""
        return peephole

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p = super().pack(w, layer, direction)
        if p.peephole is not None:
            p.peephole = self.other(p.peephole)
        return p


@wrong("peephole", **PEEPING)
class OutputSeesOldCell(Subject):
    """The output gate's peephole sees the cell before the step."""

    def output_peep(self, p: Packed, c_before: Array, c: Array) -> Array:
        return self.peep(p, 2, c_before)


@wrong("peephole", **PEEPING)
class OutputSeesTanhOfCell(Subject):
    """The output gate's peephole sees tanh c."""

    def output_peep(self, p: Packed, c_before: Array, c: Array) -> Array:
        return self.peep(p, 2, np.tanh(c))


@wrong("peephole", **PEEPING)
class InputAndForgetPeepholesSwapped(_Weights):
    """The peepholes of i and f are swapped."""

    def other(self, peephole: Array) -> Array:
        return peephole[[1, 0, 2]]


@wrong("peephole", **PEEPING)
class OnnxPeepholeOrder(_Weights):
    """Peepholes are taken as packed i, o, f, which is ONNX's order."""

    def other(self, peephole: Array) -> Array:
        return peephole[[0, 2, 1]]


@wrong("peephole", **PEEPING)
class PeepholesMissing(_Weights):
    """No gate sees the cell."""

    def other(self, peephole: Array) -> Array:
        return np.zeros_like(peephole)


@wrong("peephole", **PEEPING)
class ForgetPeepholeMissing(_Weights):
    """The forget gate does not see the cell."""

    def other(self, peephole: Array) -> Array:
        return np.asarray(peephole * np.array([[1], [0], [1]], peephole.dtype))


@wrong("peephole", **PEEPING)
class FirstUnitsPeepholeForAll(_Weights):
    """The first unit's peepholes serve all."""

    def other(self, peephole: Array) -> Array:
        return np.repeat(peephole[:, :1], peephole.shape[1], axis=1)


@wrong("peephole", **PEEPING)
class PeepholesSeeHidden(Subject):
    """i and f see h' instead of c'."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        self.h = h
        return super().step(p, t, wx, h, c)

    def peep(self, p: Packed, which: int, c: Array) -> Array:
        return super().peep(p, which, c if which == 2 else self.h)


@wrong("peephole", **PEEPING)
class PeepholesBlindAtFirst(Subject):
    """At the first step i and f do not see c0."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        self.t = t
        return super().step(p, t, wx, h, c)

    def peep(self, p: Packed, which: int, c: Array) -> Array:
        term = super().peep(p, which, c)
        return term if which == 2 or self.t else np.zeros_like(term)


@wrong("peephole", **PEEPING)
class CandidatePeeps(Subject):
    """The candidate sees the cell through the input gate's peephole."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        if p.peephole is not None:
            n = self.spec.hidden_size
            wx = wx.copy()
            wx[:, 2 * n : 3 * n] += self.peep(p, 0, c)
        return super().step(p, t, wx, h, c)
