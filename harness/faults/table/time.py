"""Steps that are skipped, repeated, reversed or off by one, and states that are forgotten after a while."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..fault import fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Run

time = partial(fault, "time")


def swapped_pairs(lstm: Any, steps: int) -> list[int]:
    """1, 0, 3, 2, ..."""
    return [min(t ^ 1, steps - 1) for t in range(steps)]


def restarted(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """Zeros five steps before the end."""
    return (np.zeros_like(h), np.zeros_like(c)) if 0 < t == lstm.steps - 5 else (h, c)


class LastStepNotInState(CorrectLSTM):
    """The state of the step before the last."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        y, h_n, c_n, run = super().run_direction(p, x, h, c, mask, training)
        if len(x) > 1:
            _, h_n, c_n, _ = super().run_direction(p, x[:-1], h, c, None if mask is None else mask[:-1], False)
        return y, h_n, c_n, run


FAULTS = (
    time("time-reversed", "time runs backwards", order=lambda _, steps: range(steps)[::-1]),
    time("input-reversed", "x is read backwards in time", x_used=lambda _, x: x[::-1]),
    time("outputs-reversed", "y is returned backwards in time", returned=lambda _, y, h, c: (y[::-1].copy(), h, c)),
    time("input-one-step-late", "step t reads x of the step before", x_used=lambda _, x: np.concatenate([x[:1], x[:-1]])),
    time("input-one-step-early", "step t reads x of the step after", x_used=lambda _, x: np.concatenate([x[1:], x[-1:]])),
    time("first-input-for-all", "every step reads the first x", x_used=lambda _, x: np.repeat(x[:1], len(x), axis=0)),
    time(
        "looks-ahead",
        "a ten-thousandth of the next x is added to each step's",
        x_used=lambda _, x: np.concatenate([x[:-1] + 1e-4 * x[1:], x[-1:]]),
    ),
    time(
        "last-output-for-all",
        "y is the last h at every step",
        returned=lambda _, y, h, c: (np.repeat(y[-1:], len(y), axis=0), h, c),
    ),
    time(
        "output-is-hidden-before",
        "y[t] is h of the step before, y[0] is h0",
        final=lambda lstm, y, h, c: (np.concatenate([lstm.start[0][None], y[:-1]]), h, c),
    ),
    time(
        "output-one-step-late",
        "y[t] is h of the step before, y[0] is right",
        final=lambda _, y, h, c: (np.concatenate([y[:1], y[:-1]]), h, c),
    ),
    time(
        "last-step-skipped",
        "the last step is left out, where it is not the only one",
        order=lambda _, steps: range(max(1, steps - 1)),
    ),
    time("last-step-not-in-state", "the last step is left out of h_n and c_n", base=LastStepNotInState),
    time(
        "first-step-skipped",
        "the first step is left out, where it is not the only one",
        order=lambda _, steps: range(min(1, steps - 1), steps),
    ),
    time("last-step-missing", "the last step is left out", order=lambda _, steps: range(steps - 1)),
    time(
        "odd-step-missing",
        "the loop is unrolled by two, and an odd step at the end is left out",
        order=lambda _, steps: range(steps - steps % 2),
    ),
    time("pairs-of-steps-swapped", "of each pair of steps the second is taken first", order=swapped_pairs),
    time("only-the-last-steps", "the state is set to 0 five steps before the end", before_step=restarted),
    time(
        "state-lost-between-chunks",
        "c' is 0 at every 16th step",
        before_step=lambda _, p, t, h, c: (h, np.zeros_like(c) if t and t % 16 == 0 else c),
    ),
)
