"""What races between threads leave: old and new values mixed, partial sums lost, orders that change."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..fault import SIXTEEN, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Step

races = partial(fault, "races")
by_chance = partial(fault, "races", hint=False)


def seeing_new_hidden(starts: Any) -> Any:
    """step: the units from each k, start in starts(H) on read the h of this step for the first `start` units."""

    def step(lstm: Any, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = CorrectLSTM.step(lstm, p, t, wx, h, c)
        for first, start in starts(h.shape[1]):
            again = CorrectLSTM.step(lstm, p, t, wx, np.concatenate([s.h[:, :start], h[:, start:]], axis=1), c)
            s.h[:, first:], s.c[:, first:] = again.h[:, first:], again.c[:, first:]
            s.m, s.tanh_c = s.h, np.tanh(s.c)
        return s

    return step


def row_before(lstm: Any, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
    """Each row reads the new h of the row before it."""
    s = CorrectLSTM.step(lstm, p, t, wx, h, c)
    return CorrectLSTM.step(lstm, p, t, wx, np.concatenate([h[:1], s.h[:-1]]), c)


def half_lost(lstm: Any, p: Packed, wx: Array, h: Array) -> Array:
    """The first half of U h lost in one step out of eight."""
    k = h.shape[1] // 2 if lstm.chance.random() < 1 / 8 else 0
    return np.asarray(np.matmul(h[:, k:], p.w_hh[k:]) + wx)


def read_too_early(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """The last unit's h of two steps before in one step out of eight."""
    read = h
    if t and lstm.chance.random() < 1 / 8:
        read = np.concatenate([h[:, :-1], lstm.kept["h"][:, -1:]], axis=1)
    lstm.kept["h"] = h
    return read, c


def write_lost(lstm: Any, t: int, s: Step) -> None:
    """One row's new c lost in one step out of eight."""
    if lstm.chance.random() < 1 / 8:
        row = lstm.chance.integers(len(s.c))
        s.c[row] = s.c_before[row]


def noted(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """Keeps what the step starts from."""
    lstm.kept["c"] = c
    return h, c


def copied_too_early(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """The last unit of c_n of the step before in one call out of four."""
    if lstm.chance.random() < 1 / 4:
        c = np.concatenate([c[:, :-1], lstm.kept["c"][:, -1:]], axis=1)
    return y, h, c


def any_order(lstm: Any, a: Array, b: Array) -> Array:
    """a @ b in another order at every call."""
    order = lstm.chance.permutation(a.shape[1])
    return np.asarray(np.matmul(a[:, order], b[order]))


FAULTS = (
    races(
        "half-of-the-units-see-the-new-hidden",
        "the second half of the units read h of this step for the first half",
        also=SIXTEEN,
        step=seeing_new_hidden(lambda n: [(n // 2, n // 2)]),
    ),
    races(
        "one-unit-sees-the-new-hidden",
        "the last unit reads h of this step for the first",
        step=seeing_new_hidden(lambda n: [(n - 1, 1)] if n > 1 else []),
    ),
    races(
        "tiles-update-in-place",
        "h is updated in place in tiles of 4 units: each tile reads the new h of those before it",
        step=seeing_new_hidden(lambda n: [(k, k) for k in range(4, n, 4)]),
    ),
    races("rows-share-one-buffer", "each row but the first reads the new h of the row before it", step=row_before),
    by_chance("partial-sum-lost", "in one step out of eight, half of U h is lost", gate_sums=half_lost),
    by_chance(
        "hidden-read-too-early",
        "in one step out of eight, the last unit's h is read before it is written",
        before_step=read_too_early,
    ),
    by_chance("cell-write-lost", "in one step out of eight, one row's new c is lost", after_step=write_lost),
    by_chance(
        "final-cell-copied-too-early",
        "in one call out of four, c_n is copied before the last unit of the last step is written",
        before_step=noted,
        final=copied_too_early,
    ),
    by_chance(
        "order-of-sums-changes", "sums run in another order at every call, and determinism is promised", product=any_order
    ),
)
