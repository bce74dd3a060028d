"""Wrong projections: missing, in the wrong place, of the wrong thing."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed, Step
from .subject import Subject

PROJECTED: dict[str, Any] = {"projection": True}


@wrong("projection", **PROJECTED)
class ProjectionMissing(Subject):
    """h is the first P units of what should have been projected."""

    def projected(self, p: Packed, m: Array) -> Array:
        return m if p.w_hr is None else m[:, : p.w_hr.shape[1]]


@wrong("projection", **PROJECTED)
class ProjectionBeforeTanh(Subject):
    """The projection comes before the tanh: h = tanh(W_hr (o c))."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        if p.w_hr is not None:
            s.h = np.tanh(np.matmul(s.gates[:, 3 * self.spec.hidden_size :] * s.c, p.w_hr))
        return s


@wrong("projection", **PROJECTED)
class ProjectionOfCell(Subject):
    """o c is projected, its tanh left out."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        if p.w_hr is not None:
            s.h = np.matmul(s.gates[:, 3 * self.spec.hidden_size :] * s.c, p.w_hr)
        return s


@wrong("projection", **PROJECTED)
class RecurrenceUnprojected(Subject):
    """The recurrence reads the first P units of what was not yet projected."""

    m: Array

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        if t and p.w_hr is not None:
            h = self.m[:, : h.shape[1]]
        s = super().step(p, t, wx, h, c)
        self.m = s.m
        return s


@wrong("projection", **PROJECTED)
class FinalHiddenUnprojected(Subject):
    """h_n is the first P units of what was not yet projected."""

    m: Array

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        self.m = s.m
        return s

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        return y, self.m[:, : h.shape[1]], c


@wrong("projection", **PROJECTED)
class ProjectionReshaped(Subject):
    """W_hr's memory is read as [H, P] instead of being transposed."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p = super().pack(w, layer, direction)
        if p.w_hr is not None:
            p.w_hr = p.w_hr.T.reshape(p.w_hr.shape)
        return p


@wrong("projection", **PROJECTED)
class ProjectionLacksLastUnit(Subject):
    """The projection leaves out the last hidden unit."""

    def projected(self, p: Packed, m: Array) -> Array:
        return m if p.w_hr is None else np.matmul(m[:, :-1], p.w_hr[:-1])


@wrong("projection", projection=True, num_layers=2)
class ProjectionOfFirstLayer(Subject):
    """The second layer uses the first one's projection."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        for layer in self.layers:
            layer[0].w_hr = self.layers[0][0].w_hr


@wrong("projection", projection=True, bidirectional=True)
class ProjectionOfForward(Subject):
    """The reverse direction uses the forward one's projection."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        self.layers[0][-1].w_hr = self.layers[0][0].w_hr


@wrong("projection", **PROJECTED)
class ProjectionInFloat16(Subject):
    """The projection's operands are rounded to float16 in a float32 promise."""

    def projected(self, p: Packed, m: Array) -> Array:
        if p.w_hr is None:
            return m
        return np.asarray(np.matmul(m.astype(np.float16).astype(m.dtype), p.w_hr.astype(np.float16).astype(m.dtype)))
