"""Lengths that are ignored or off by one, and padding that is read or written."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..fault import EMPTY_ROWS, LENGTHS, Fault, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Run, Step

lengths = partial(fault, "lengths", needs=LENGTHS)
empty = partial(fault, "lengths", needs=EMPTY_ROWS)


def used(name: str, sentence: str, change: Any, **more: Any) -> Fault:
    """Other lengths: change(lengths [B], T), None for none."""
    return lengths(name, sentence, lengths_used=lambda lstm, n: change(n, lstm.steps), **more)


def after(name: str, sentence: str, change: Any, **more: Any) -> Fault:
    """Other results of a step: change((y, h, c) as they should be, valid, step)."""
    right = CorrectLSTM.advanced
    return lengths(name, sentence, advanced=lambda lstm, v, s: change(right(lstm, v, s), v, s), **more)


def y_masked(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """y with zeros past each row's own length."""
    if lstm.lengths is None:
        return y, h, c
    past = np.arange(len(y))[:, None] >= lstm.lengths
    return np.where(past[..., None], np.zeros((), y.dtype), y), h, c


def hidden_from_last_step(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """The last layer's h_n read from y at step T - 1, or 0 in the reverse direction."""
    h, r = np.array(h), lstm.spec.state_size
    ends = (y[-1, :, :r], y[0, :, r:])
    h[-lstm.spec.num_directions :] = ends[: lstm.spec.num_directions]
    return y, h, c


def states_of_empty_rows(of_c: bool) -> Any:
    """returned: states of 0 for rows of length 0, those of c as well or not."""

    def returned(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        if lstm.lengths is not None:
            h[:, lstm.lengths == 0] = 0
            c[:, lstm.lengths == 0] *= 0 if of_c else 1
        return y, h, c

    return returned


def padding_times_zero(lstm: Any, valid: Array, s: Step) -> tuple[Array, Array, Array]:
    """A mask that multiplies, which a NaN survives."""
    v = valid.astype(lstm.compute)
    return v * s.h, v * s.h + (1 - v) * s.h_before, v * s.c + (1 - v) * s.c_before


def lost_now_and_then(lstm: Any, n: Array) -> Array:
    """One row runs to T in one call out of four."""
    n = n.copy()
    if lstm.chance.random() < 0.25:
        n[lstm.chance.integers(len(n))] = lstm.steps
    return n


def refused_if_empty(lstm: Any, n: Array | None, steps: int) -> Array | None:
    """Raises ValueError where no row has a step."""
    if n is not None and not n.any():
        raise ValueError("there is no valid step")
    return CorrectLSTM.mask(lstm, n, steps)


class ZeroInputTakenForPadding(CorrectLSTM):
    """Masks the steps whose x is 0."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        some = np.any(x != 0, axis=2)
        return super().run_direction(p, x, h, c, some if mask is None else mask & some, training)


FAULTS = (
    used("lengths-ignored", "lengths are ignored: all rows run to T", lambda n, T: None),
    lengths(
        "lengths-ignored-but-in-output",
        "lengths are ignored but in y: the state of all rows runs on to T",
        lengths_used=lambda _, n: None,
        returned=y_masked,
    ),
    used(
        "longest-row-rules-the-batch",
        "the batch runs to its longest row's end",
        lambda n, T: np.full_like(n, n.max()),
        after="onnxruntime 1400",
    ),
    lengths(
        "longest-row-rules-the-states",
        "the state of all rows runs on to the longest row's end",
        lengths_used=lambda _, n: np.full_like(n, n.max()),
        returned=y_masked,
    ),
    used("first-rows-length-for-all", "the first row's length is used for all", lambda n, T: np.full_like(n, n[0])),
    used("lengths-sorted-rows-not", "lengths are sorted from the longest and the rows are not", lambda n, T: -np.sort(-n)),
    used("lengths-one-short", "each row ends a step early", lambda n, T: np.maximum(n - 1, np.minimum(n, 1))),
    used("lengths-one-long", "each row ends a step late", lambda n, T: np.where(n > 0, np.minimum(n + 1, T), 0)),
    used("equal-lengths-ignored", "equal lengths are taken for T", lambda n, T: None if (n == n[0]).all() else n),
    empty("empty-row-runs-one-step", "a row of length 0 gets one step", lengths_used=lambda _, n: np.maximum(n, 1)),
    empty("empty-row-runs-to-the-end", "a length of 0 is taken for T", lengths_used=lambda l, n: np.where(n == 0, l.steps, n)),
    empty("empty-rows-state-zero", "a row of length 0 returns 0 instead of h0", returned=states_of_empty_rows(False)),
    empty("empty-rows-states-zero", "a row of length 0 returns 0 instead of h0 and c0", returned=states_of_empty_rows(True)),
    empty("all-empty-fails", "a batch of nothing but empty rows is refused", mask=refused_if_empty, hint=False),
    lengths(
        "lengths-kept-from-first-call",
        "the lengths of the first call with a shape are used in all later ones",
        lengths_used=lambda lstm, n: lstm.kept.setdefault((lstm.steps, len(n)), n.copy()),
        hint=False,
    ),
    lengths(
        "masked-now-and-then",
        "the mask of one row is lost in one call out of four",
        after="tensorflow 60192",
        lengths_used=lost_now_and_then,
        hint=False,
    ),
    after(
        "output-past-length-repeated", "y past a row's length repeats its last h", lambda right, v, s: (right[1], *right[1:])
    ),
    after("output-past-length-computed", "y past a row's length is not 0 but computed", lambda right, v, s: (s.h, *right[1:])),
    after("final-hidden-at-the-end", "h runs on past a row's length", lambda right, v, s: (right[0], s.h, right[2])),
    after("final-cell-at-the-end", "c runs on past a row's length", lambda right, v, s: (*right[:2], s.c)),
    after("state-runs-on", "h and c run on past a row's length", lambda right, v, s: (right[0], s.h, s.c)),
    after(
        "state-cleared-by-padding",
        "the state of a row that ends before T is set to 0",
        lambda right, v, s: (right[0], s.h * v, s.c * v),
    ),
    lengths("final-hidden-from-last-step", "h_n is y at step T - 1, whatever the row's length", returned=hidden_from_last_step),
    lengths(
        "padding-times-zero",
        "padding is read and what comes of it multiplied by 0, so that a NaN there stays one",
        first_input=lambda lstm, x, mask: lstm.load(x),
        advanced=padding_times_zero,
        hint=False,
    ),
    lengths("zero-input-taken-for-padding", "a step whose x is all zeros counts as padding", base=ZeroInputTakenForPadding),
)
