"""Initial and final states that are ignored, stale, shared between rows, or not passed on."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from ..fault import SIXTEEN, Fault, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Step

state = partial(fault, "state")
zero = np.zeros_like


def initial(name: str, sentence: str, change: Any, **more: Any) -> Fault:
    """Other initial states: change(h0 [L*D, B, R], c0 [L*D, B, H])."""
    return state(name, sentence, states_used=lambda _, h, c: change(h, c), **more)


def returned(name: str, sentence: str, change: Any) -> Fault:
    """Other results: change(lstm, y, h_n, c_n)."""
    return state(name, sentence, returned=change)


def first_row(a: Array) -> Array:
    """A state with the first row for all."""
    return np.repeat(a[:, :1], a.shape[1], axis=1)


def unit_first(a: Array) -> Array:
    """The memory of each state read as [H, B]."""
    return np.stack([np.ascontiguousarray(s).reshape(s.shape[::-1]).T for s in a])


def rotated(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """c of the row before."""
    return h, np.roll(c, 1, axis=0) if t else c


def neighbours(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """h with the last row replaced by the one before it."""
    return (np.concatenate([h[:-1], h[-2:-1]]) if len(h) > 1 else h), c


def two_steps_before(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """h of two steps before, from the third step on."""
    read = h if t < 2 else lstm.kept["h"]
    lstm.kept["h"] = h
    return read, c


def noted(lstm: Any, t: int, s: Step) -> None:
    """Keeps the first and the last step."""
    lstm.kept["last"] = s
    if t == 0:
        lstm.kept["first"] = s


def first_hidden(lstm: Any, h: Array, c: Array, direction: int) -> tuple[Array, Array]:
    """h0 of the first call with this batch size."""
    return lstm.kept.setdefault(len(h), h.copy()), c


class StateCarriedOver(CorrectLSTM):
    """Keeps its final cell."""

    def initial_state(self, h: Array, c: Array, direction: int) -> tuple[Array, Array]:
        last = self.kept.get("c")
        return h, c if last is None or len(last) != len(c) else last

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        self.kept["c"] = c.copy()
        return y, h, c


class InitialKept(CorrectLSTM):
    """Keeps the initial states that it is given, for faults that return them."""

    def states_used(self, h: Array, c: Array) -> tuple[Array, Array]:
        self.kept["states"] = h.copy(), c.copy()
        return h, c


class WeightsSharedByInstances(CorrectLSTM):
    """The newest instance of a spec gives its weights to all others."""

    newest: ClassVar[dict[LSTMSpec, list[list[Packed]]]] = {}

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        self.newest.clear()
        self.newest[spec] = self.layers

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        self.layers = self.newest.get(self.spec, self.layers)
        return super().run(x, state, lengths, training)


FAULTS = (
    initial("hidden-state-ignored", "h0 is zero", lambda h, c: (zero(h), c), also=SIXTEEN),
    initial("cell-state-ignored", "c0 is zero", lambda h, c: (h, zero(c)), also=SIXTEEN),
    initial("states-ignored", "h0 and c0 are zero", lambda h, c: (zero(h), zero(c))),
    initial("states-swapped", "h0 and c0 are swapped", lambda h, c: (c, h)),
    initial("cell-starts-from-hidden", "c0 is h0", lambda h, c: (h, h)),
    initial("first-rows-state-for-all", "all rows start from the first row's h0", lambda h, c: (first_row(h), c)),
    initial("first-rows-cell-for-all", "all rows start from the first row's c0", lambda h, c: (h, first_row(c))),
    initial(
        "first-rows-states-for-all", "all rows start from the first row's state", lambda h, c: (first_row(h), first_row(c))
    ),
    initial("hidden-rows-reversed", "the rows of h0 are reversed", lambda h, c: (h[:, ::-1], c)),
    initial("cell-rows-reversed", "the rows of c0 are reversed", lambda h, c: (h, c[:, ::-1])),
    initial("initial-state-read-unit-first", "the memory of h0 is read as [H, B]", lambda h, c: (unit_first(h), c)),
    initial("initial-cell-read-unit-first", "the memory of c0 is read as [H, B]", lambda h, c: (h, unit_first(c))),
    initial("initial-cell-squashed", "c0 is tanh(c0)", lambda h, c: (h, np.tanh(c))),
    initial("initial-state-clipped", "c0 is clipped to -1..1", lambda h, c: (h, np.clip(c, -1, 1))),
    state(
        "hidden-state-kept-from-first-call",
        "h0 of the first call is used in all later ones with the same batch size",
        initial_state=first_hidden,
        hint=False,
    ),
    state(
        "state-carried-over",
        "a call starts from the final cell of the one before, where the batch size allows it",
        base=StateCarriedOver,
        hint=False,
    ),
    state(
        "weights-shared-by-instances",
        "the newest instance of a spec gives its weights to all others",
        base=WeightsSharedByInstances,
        hint=False,
    ),
    state("no-recurrence", "h' is 0 from the second step on", before_step=lambda _, p, t, h, c: (zero(h) if t else h, c)),
    state("cell-not-handed-on", "c' is 0 from the second step on", before_step=lambda _, p, t, h, c: (h, zero(c) if t else c)),
    state("last-row-reads-its-neighbour", "the last row is computed with h' of the row before it", before_step=neighbours),
    state("rows-rotate", "the rows of c move by one at every step", before_step=rotated),
    state(
        "initial-state-at-every-step",
        "every step reads h0 instead of h'",
        before_step=lambda lstm, p, t, h, c: (lstm.start[0], c),
    ),
    state(
        "hidden-state-one-step-stale",
        "from the third step on, each step reads h of two steps before",
        before_step=two_steps_before,
    ),
    state(
        "final-cell-one-step-old",
        "c_n is c of the step before the last",
        after_step=noted,
        final=lambda lstm, y, h, c: (y, h, lstm.kept["last"].c_before),
    ),
    state(
        "final-hidden-one-step-old",
        "h_n is h of the step before the last",
        after_step=noted,
        final=lambda lstm, y, h, c: (y, lstm.kept["last"].h_before, c),
    ),
    state(
        "final-hidden-of-first-step",
        "h_n is h of the first step",
        after_step=noted,
        final=lambda lstm, y, h, c: (y, lstm.kept["first"].h, c),
    ),
    returned("final-states-swapped", "h_n and c_n are swapped", lambda _, y, h, c: (y, c, h)),
    returned("final-cell-squashed", "c_n is tanh(c)", lambda _, y, h, c: (y, h, np.tanh(c))),
    returned("final-hidden-without-gate", "h_n is tanh(c)", lambda _, y, h, c: (y, np.tanh(c), c)),
    returned("final-hidden-of-first-row", "h_n of the first row is returned for all", lambda _, y, h, c: (y, first_row(h), c)),
    returned("final-cell-of-first-row", "c_n of the first row is returned for all", lambda _, y, h, c: (y, h, first_row(c))),
    state(
        "final-hidden-is-initial",
        "h_n is the initial state",
        base=InitialKept,
        returned=lambda lstm, y, h, c: (y, lstm.kept["states"][0], c),
    ),
    state(
        "final-cell-is-initial",
        "c_n is the initial state",
        base=InitialKept,
        returned=lambda lstm, y, h, c: (y, h, lstm.kept["states"][1]),
    ),
)
