"""Memory read in the wrong layout: transposed, strides ignored, tails of tiles missing, sizes rounded to multiples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

from ..changes import (
    PACKED,
    as_if_contiguous,
    batch_first,
    each_array,
    each_direction,
    reread,
    times,
    transposed,
    written_batch_first,
)
from ..fault import SIXTEEN, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Step

layout = partial(fault, "layout")


def side_by_side(array: Array) -> Array:
    """[H, 4, ...] read as [4, H, ...]."""
    return array.reshape(len(array) // 4, 4, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape)


def without_last_feature(w: DirectionWeights) -> DirectionWeights:
    """The first unit's candidate does not see the last feature."""
    w_ih = w.w_ih.copy()
    w_ih[len(w_ih) // 2, -1] = 0
    return replace(w, w_ih=w_ih)


def rounded_down_input(lstm: Any, p: Packed, x: Array) -> Array:
    """W x over a multiple of 4 features."""
    n = x.shape[2] - x.shape[2] % 4
    z = np.matmul(x[:, :, :n].reshape(x.shape[0] * x.shape[1], n), p.w_ih[:n])
    return np.asarray((z if p.bias is None else z + p.bias).reshape(*x.shape[:2], -1))


def over_first(rows: Any) -> Any:
    """gate_sums: U h over the first rows(R) units of h."""

    def gate_sums(lstm: Any, p: Packed, wx: Array, h: Array) -> Array:
        n = rows(len(p.w_hh))
        return np.asarray(np.matmul(h[:, :n], p.w_hh[:n]) + wx)

    return gate_sums


def rounded_up(lstm: Any, p: Packed, wx: Array, h: Array) -> Array:
    """U h with 1 in each lane that is added."""
    return np.asarray(CorrectLSTM.gate_sums(lstm, p, wx, h) + p.w_hh[: -h.shape[1] % 8].sum(0))


def zero_tail(lstm: Any, t: int, s: Step) -> None:
    """The units of a partial tile of 8."""
    n = s.h.shape[1]
    s.h[:, n - n % 8 :] = 0


def stale_tail(lstm: Any, t: int, s: Step) -> None:
    """The units of a partial tile of 32."""
    n = s.h.shape[1]
    s.h[:, n - n % 32 :] = s.h_before[:, n - n % 32 :]


def last_row_zero(lstm: Any, t: int, s: Step) -> None:
    """The last row of an odd batch."""
    if len(s.h) % 2:
        s.h[-1] = 0


def contiguous_demanded(lstm: Any, x: Array, mask: Array | None) -> Array:
    """Raises ValueError for a strided x."""
    if not x.flags.c_contiguous:
        raise ValueError("x must be contiguous")
    return CorrectLSTM.first_input(lstm, x, mask)


FAULTS = (
    layout(
        "recurrent-matrix-transposed", "U of each gate is transposed", also=SIXTEEN, weights_used=each_array(transposed, "w_hh")
    ),
    layout("recurrent-matrix-reshaped", "the memory of U is read as [R, 4H]", weights_used=each_array(reread, "w_hh")),
    layout(
        "square-input-transposed", "W of each gate is transposed where I equals H", weights_used=each_array(transposed, "w_ih")
    ),
    layout("input-matrix-reshaped", "the memory of W is read as [I, 4H]", weights_used=each_array(reread, "w_ih")),
    layout(
        "units-packed-together",
        "the weights are read as if the four gates of a unit were side by side, [H, 4] instead of [4, H]",
        weights_used=each_array(side_by_side, *PACKED),
    ),
    layout("recurrent-matrix-ignored", "there is no recurrence (U = 0)", weights_used=each_array(times(0), "w_hh")),
    layout("input-ignored", "x is ignored (W = 0)", weights_used=each_array(times(0), "w_ih")),
    layout("batch-first-input", "x is read as [B, T, I]", x_used=lambda _, x: batch_first(x)),
    layout("batch-first-output", "y is written as [B, T, H]", returned=lambda _, y, h, c: (written_batch_first(y), h, c)),
    layout(
        "batch-first",
        "x is read and y is written with the batch first",
        x_used=lambda _, x: batch_first(x),
        returned=lambda _, y, h, c: (written_batch_first(y), h, c),
    ),
    layout(
        "batch-first-state",
        "h_n and c_n are returned as [B, 1, H]",
        returned=lambda _, y, h, c: (y, h.swapaxes(0, 1), c.swapaxes(0, 1)),
        hint=False,
    ),
    layout(
        "strides-ignored",
        "a strided x is read from its first element on as if it were contiguous",
        first_input=lambda lstm, x, mask: CorrectLSTM.first_input(lstm, as_if_contiguous(x), mask),
        hint=False,
    ),
    layout(
        "states-strides-ignored",
        "a strided h0 is read from its first element on as if it were contiguous",
        states_used=lambda _, h, c: (as_if_contiguous(h), c),
        hint=False,
    ),
    layout("contiguous-input-demanded", "a strided x is refused", first_input=contiguous_demanded, hint=False),
    layout("tail-of-tile-zero", "units come in tiles of 8, and those of a partial tile are 0", after_step=zero_tail),
    layout("tail-of-tile-stale", "units come in tiles of 32, and those of a partial tile keep their h", after_step=stale_tail),
    layout("last-row-zero", "the last row of an odd batch is left at 0", after_step=last_row_zero),
    layout(
        "recurrence-rounded-down", "U h runs over H rounded down to a multiple of 8", gate_sums=over_first(lambda n: n - n % 8)
    ),
    layout("input-rounded-down", "W x reads four features at a time, and never the rest", input_products=rounded_down_input),
    layout(
        "hidden-rounded-up", "H is rounded up to a multiple of 8, and the lanes added have 1 instead of 0", gate_sums=rounded_up
    ),
    layout("last-row-of-matrix-missing", "U h leaves out the last unit's h", gate_sums=over_first(lambda n: n - 1)),
    layout(
        "last-feature-of-one-unit",
        "the first unit's candidate does not see the last feature of x",
        weights_used=each_direction(without_last_feature),
    ),
)
