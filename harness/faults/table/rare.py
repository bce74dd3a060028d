"""Faults that show only for some sizes, lengths, batches or values."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..fault import Fault, fault
from ..lstm import CorrectLSTM, sigmoid
from ..lstm_parts import Packed, Step
from ..rounding import tf32_rounded

rare = partial(fault, "rare")
not_finite = partial(fault, "rare", hint=False)


def x_used(name: str, sentence: str, change: Any, declare: Any = rare) -> Fault:
    """Another x [T, B, I]: change(x)."""
    found: Fault = declare(name, sentence, x_used=lambda _, x: change(x))
    return found


def step_changed(name: str, sentence: str, change: Any, **more: Any) -> Fault:
    """Other results of a step: change(step, t)."""
    return rare(name, sentence, after_step=lambda _, t, s: change(s, t), **more)


def stale_units(s: Step, t: int) -> None:
    """h of the step before, from the 65th unit on."""
    s.h[:, 64:] = s.h_before[:, 64:]


def zero_unit(s: Step, t: int) -> None:
    """0 for the last unit of full tiles."""
    if s.h.shape[1] % 32 == 0:
        s.h[:, -1] = 0


def stale_cell(s: Step, t: int) -> None:
    """c of the step before."""
    if t >= 100:
        s.c[...] = s.c_before


def repeated_row(s: Step, t: int) -> None:
    """The first row for the last of 33."""
    if len(s.h) == 33:
        s.h[32] = s.h[0]


def stale_rows(s: Step, t: int) -> None:
    """h of the step before, from the 101st row on."""
    s.h[100:] = s.h_before[100:]


def clipped_cell(s: Step, t: int) -> None:
    """c in place."""
    np.clip(s.c, -4, 4, out=s.c)


def nan_for_all(lstm: Any, t: int, s: Step) -> None:
    """Adds 0 times all rows."""
    s.h += 0 * s.h.sum(0)


def tf32_from_8_rows(lstm: Any, a: Array) -> Array:
    """Rounded to TF32 in a batch of 8 or more."""
    return tf32_rounded(a) if lstm.batch >= 8 else a


def without_recurrence(lstm: Any, p: Packed, wx: Array, h: Array) -> Array:
    """U h0 left out of a single step."""
    return wx.copy() if lstm.steps == 1 else CorrectLSTM.gate_sums(lstm, p, wx, h)


def without_half_bias(lstm: Any, p: Packed, wx: Array, h: Array) -> Array:
    """Half of the bias left out where h' is 0."""
    z = CorrectLSTM.gate_sums(lstm, p, wx, h)
    return z if p.bias is None or h.any() else z - p.bias / 2


def without_bias(lstm: Any, p: Packed, x: Array) -> Array:
    """W x + b left out where x is 0."""
    return np.asarray(CorrectLSTM.input_products(lstm, p, x) * np.any(x != 0, axis=2, keepdims=True))


def negative_zero_as_one(x: Array) -> Array:
    """1 for -0.0."""
    return np.where((x == 0) & np.signbit(x), np.ones((), x.dtype), x)


def scaled(x: Array) -> Array:
    """Scaled by a power of two found from the whole batch, and back."""
    scale = np.exp2(np.floor(np.log2(np.abs(x).max())))
    return np.asarray(x / scale * scale)


def centred(x: Array) -> Array:
    """Without a thousandth of the batch's mean."""
    return x - (1e-3 * x.mean(1, keepdims=True)).astype(x.dtype) if x.shape[1] > 1 else x


def wrapped(lstm: Any, z: Array) -> Array:
    """0 for a saturated gate."""
    s = sigmoid(z)
    return np.where(s > 1 - 1e-6, np.zeros((), s.dtype), s)


def divided_by_itself(lstm: Any, z: Array) -> Array:
    """NaN for a closed gate."""
    s = sigmoid(z)
    return np.asarray(s * (s / s))


FAULTS = (
    step_changed("hidden-above-64", "units from the 65th on keep their h", stale_units),
    step_changed("hidden-of-32", "where H is a multiple of 32, the last unit is 0", zero_unit),
    step_changed("steps-above-100", "from step 100 on, c does not change", stale_cell),
    rare("long-sequence-cut", "of more than 64 steps the last one is left out", order=lambda _, n: range(n - (n > 64))),
    x_used(
        "step-counter-wraps", "the step is counted in 7 bits: step 128 reads x of step 0", lambda x: x[np.arange(len(x)) % 128]
    ),
    step_changed("batch-of-33", "in a batch of 33, the last row repeats the first", repeated_row),
    step_changed("batch-above-100", "rows from the 101st on keep their h", stale_rows, after="pytorch 177834"),
    rare("large-batch-in-tf32", "from 8 rows on, operands of products are rounded to TF32", operand=tf32_from_8_rows),
    rare(
        "one-row-without-cell",
        "a batch of one row starts from c0 = 0",
        states_used=lambda lstm, h, c: (h, np.zeros_like(c) if lstm.batch == 1 else c),
    ),
    rare("one-step-without-recurrence", "a sequence of one step leaves U h0 out", gate_sums=without_recurrence),
    rare(
        "one-unit-squashed-once",
        "with a single hidden unit the tanh of c is missing",
        squashed=lambda _, c: c if c.shape[1] == 1 else np.tanh(c),
    ),
    x_used("one-feature-twice", "a single input feature is counted twice", lambda x: 2 * x if x.shape[2] == 1 else x),
    x_used("negative-zero-read-as-one", "-0.0 in x is read as 1", negative_zero_as_one),
    rare("zero-input-skips-bias", "where a step's x is all zeros the bias is left out", input_products=without_bias),
    rare("zero-state-skips-bias", "where h' is all zeros half of the bias is left out", gate_sums=without_half_bias),
    x_used(
        "small-inputs-flushed", "x below 1e-4 is taken for 0", lambda x: np.where(np.abs(x) < 1e-4, np.zeros((), x.dtype), x)
    ),
    x_used("outlier-clipped", "x is clipped to -10..10", lambda x: np.clip(x, -10, 10)),
    rare("saturated-gate-wraps", "a gate above 1 - 1e-6 becomes 0", sigmoid=wrapped),
    not_finite("closed-gate-nan", "a gate that is exactly 0 is divided by itself", sigmoid=divided_by_itself),
    not_finite(
        "nan-spreads-over-the-batch",
        "a mask multiplies what belongs to other rows by 0, so that one row's NaN reaches all",
        after="pytorch 177016",
        after_step=nan_for_all,
    ),
    x_used(
        "infinity-spreads-over-the-batch",
        "x is scaled by a power of two found from the whole batch, and back, which zeros and infinities do not survive",
        scaled,
        not_finite,
    ),
    x_used("rows-centred", "a thousandth of the batch's mean is subtracted from x", centred),
    step_changed("large-cell-saturates", "c is clipped to -4..4", clipped_cell),
)
