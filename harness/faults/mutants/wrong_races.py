"""What races between threads leave behind: old and new values mixed, partial sums lost, orders that change.

Those that depend on chance draw from a generator that the weights seed, so that a run can be replayed.
"""

from __future__ import annotations

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMWeights
from lstm_parity.backends.problem import Array

from .chance import generator
from .mutant import wrong
from .parts import Packed, Step
from .subject import Subject


def _seeing(s: Step, again: Step, first: int) -> None:
    """The units from `first` on take what `again` computed for them."""
    s.h[:, first:], s.c[:, first:] = again.h[:, first:], again.c[:, first:]
    s.m, s.tanh_c = s.h, np.tanh(s.c)


@wrong("races", also=("float16", "bfloat16"))
class HalfOfTheUnitsSeeTheNewHidden(Subject):
    """The second half of the units read h of this step for the first half."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        k = h.shape[1] // 2
        _seeing(s, super().step(p, t, wx, np.concatenate([s.h[:, :k], h[:, k:]], axis=1), c), k)
        return s


@wrong("races")
class OneUnitSeesTheNewHidden(Subject):
    """The last unit reads h of this step for the first."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        if h.shape[1] > 1:
            _seeing(s, super().step(p, t, wx, np.concatenate([s.h[:, :1], h[:, 1:]], axis=1), c), h.shape[1] - 1)
        return s


@wrong("races")
class TilesUpdateInPlace(Subject):
    """h is updated in place in tiles of 4 units: each tile reads those before it anew."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        for k in range(4, h.shape[1], 4):
            _seeing(s, super().step(p, t, wx, np.concatenate([s.h[:, :k], h[:, k:]], axis=1), c), k)
        return s


@wrong("races")
class RowsShareOneBuffer(Subject):
    """Each row but the first reads the h that the row before it has just written."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        return super().step(p, t, wx, np.concatenate([h[:1], s.h[:-1]]), c)


class _Chance(Subject):
    """A subject with a generator."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.rng = generator(weights)
        super().__init__(spec, weights)


@wrong("races")
class PartialSumLost(_Chance):
    """In one step out of eight, half of the recurrent product is lost."""

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        if self.rng.random() < 1 / 8:
            k = h.shape[1] // 2
            return np.asarray(np.matmul(h[:, k:], p.w_hh[k:]) + wx)
        return super().gate_sums(p, wx, h)


@wrong("races")
class HiddenReadTooEarly(_Chance):
    """In one step out of eight, the last unit's h is read before it was written."""

    older: Array

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        read = h
        if t and self.rng.random() < 1 / 8:
            read = np.concatenate([h[:, :-1], self.older[:, -1:]], axis=1)
        self.older = h
        return super().step(p, t, wx, read, c)


@wrong("races")
class CellWriteLost(_Chance):
    """In one step out of eight, one row's new c is lost."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        if self.rng.random() < 1 / 8:
            row = self.rng.integers(len(c))
            s.c[row] = c[row]
        return s


@wrong("races")
class FinalCellCopiedTooEarly(_Chance):
    """In one call out of four, c_n is copied before the last unit of the last step is written."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        self.before = c
        return super().step(p, t, wx, h, c)

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        if self.rng.random() < 1 / 4:
            c = np.concatenate([c[:, :-1], self.before[:, -1:]], axis=1)
        return y, h, c


@wrong("races")
class OrderOfSumsChanges(_Chance):
    """Sums run in another order at every call, and determinism is promised."""

    def product(self, a: Array, b: Array) -> Array:
        order = self.rng.permutation(a.shape[1])
        return np.asarray(np.matmul(a[:, order], b[order]))
