"""Wrong states: ignored, stale, shared between rows, not handed on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed, Step
from .subject import Subject


@wrong("state", also=("float16", "bfloat16"))
class HiddenStateIgnored(Subject):
    """h0 is taken as 0."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return np.zeros_like(h), c


@wrong("state", also=("float16", "bfloat16"))
class CellStateIgnored(Subject):
    """c0 is taken as 0."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return h, np.zeros_like(c)


@wrong("state")
class StatesSwapped(Subject):
    """h0 and c0 are swapped."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return c, h


@wrong("state")
class FirstRowsStateForAll(Subject):
    """All rows start from the first row's h0."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return np.repeat(h[:1], len(h), axis=0), c


@wrong("state")
class InitialStateReadUnitFirst(Subject):
    """h0 is read as [H, B] instead of [B, H]."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return h.reshape(h.shape[::-1]).T, c


@wrong("state")
class InitialStateClipped(Subject):
    """c0 is clipped to -1..1, as h0 would not mind."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return h, np.clip(c, -1, 1)


@wrong("state")
class HiddenStateKeptFromFirstCall(Subject):
    """h0 of the first call is used in all later ones with the same batch size."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        self.first: dict[int, Array] = {}

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return self.first.setdefault(len(h), h.copy()), c


@wrong("state")
class StateCarriedOver(Subject):
    """A call starts from the final cell of the one before, where the batch size allows it."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        self.last: Array | None = None

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return h, c if self.last is None or len(self.last) != len(c) else self.last

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        self.last = c.copy()
        return y, h, c


@wrong("state")
class WeightsSharedByInstances(Subject):
    """The weights are kept in the class: the newest instance of a spec gives its own to all others."""

    newest: ClassVar[dict[LSTMSpec, list[list[Packed]]]] = {}

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        self.newest.clear()
        self.newest[spec] = self.layers

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        self.layers = self.newest.get(self.spec, self.layers)
        return super().run(x, state, lengths, training)


class _Stepwise(Subject):
    """A step that starts from another state than the one before."""

    def before(self, t: int, h: Array, c: Array) -> tuple[Array, Array]:
        """h and c that step t starts from."""
        return h, c

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        return super().step(p, t, wx, *self.before(t, h, c))


@wrong("state")
class NoRecurrence(_Stepwise):
    """After the first step h' is taken as 0."""

    def before(self, t: int, h: Array, c: Array) -> tuple[Array, Array]:
        return (np.zeros_like(h) if t else h), c


@wrong("state")
class CellNotHandedOn(_Stepwise):
    """After the first step c' is taken as 0."""

    def before(self, t: int, h: Array, c: Array) -> tuple[Array, Array]:
        return h, (np.zeros_like(c) if t else c)


@wrong("state")
class LastRowReadsItsNeighbour(_Stepwise):
    """The last row is computed with the state of the row before it."""

    def before(self, t: int, h: Array, c: Array) -> tuple[Array, Array]:
        return (np.concatenate([h[:-1], h[-2:-1]]) if len(h) > 1 else h), c


@wrong("state")
class RowsRotate(_Stepwise):
    """The rows of c move on by one at every step."""

    def before(self, t: int, h: Array, c: Array) -> tuple[Array, Array]:
        return h, np.roll(c, 1, axis=0) if t else c


@wrong("state")
class InitialStateAtEveryStep(Subject):
    """Every step's product reads h0 instead of h'."""

    start: Array

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        if t == 0:
            self.start = h
        return super().step(p, t, wx, self.start, c)


@wrong("state")
class HiddenStateOneStepStale(Subject):
    """From the third step on, the product reads h of two steps before."""

    older: Array

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        read = h if t < 2 else self.older
        self.older = h
        return super().step(p, t, wx, read, c)


class _Final(Subject):
    """Other final states than those of the last step."""

    last: Step

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        self.last = super().step(p, t, wx, h, c)
        return self.last


@wrong("state")
class FinalCellOneStepOld(_Final):
    """c_n is the cell of the step before the last."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        return y, h, self.last.c_before


@wrong("state")
class FinalHiddenOneStepOld(_Final):
    """h_n is that of the step before the last."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        return y, self.last.h_before, c


@wrong("state")
class FinalStatesSwapped(Subject):
    """h_n and c_n are swapped."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        return y, c, h
