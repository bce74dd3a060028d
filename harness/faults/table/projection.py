"""Projections that are missing, in the wrong place, or of the wrong thing."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..changes import each_array, from_forward, from_layer, reread
from ..fault import BIDIRECTIONAL, PROJECTED, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Step
from ..rounding import to_float16

projection = partial(fault, "projection", needs=PROJECTED)


def instead(change: Any) -> Any:
    """step: with a projection, h is change(o [B, H], c [B, H], W_hr [H, P])."""

    def step(lstm: Any, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = CorrectLSTM.step(lstm, p, t, wx, h, c)
        if p.w_hr is not None:
            s.h = change(s.gates[:, 3 * lstm.spec.hidden_size :], s.c, p.w_hr)
        return s

    return step


def projected(change: Any) -> Any:
    """projected: with a projection, h is change(m [B, H], W_hr [H, P])."""
    return lambda lstm, p, m: m if p.w_hr is None else change(m, p.w_hr)


def noted(lstm: Any, t: int, s: Step) -> None:
    """Keeps h before the projection."""
    lstm.kept["m"] = s.m


def unprojected(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """h' before the projection, from the second step on."""
    return (lstm.kept["m"][:, : h.shape[1]] if t and p.w_hr is not None else h), c


FAULTS = (
    projection(
        "projection-missing",
        "the projection is ignored: h is the first P units",
        projected=projected(lambda m, w: m[:, : w.shape[1]]),
    ),
    projection(
        "projection-before-tanh",
        "the projection comes before the tanh: h = tanh(W_hr (o * c))",
        step=instead(lambda o, c, w: np.tanh((o * c) @ w)),
    ),
    projection(
        "projection-without-gate", "tanh(c) is projected without the output gate", step=instead(lambda o, c, w: np.tanh(c) @ w)
    ),
    projection("projection-of-cell", "o * c is projected, its tanh is missing", step=instead(lambda o, c, w: (o * c) @ w)),
    projection(
        "projection-squashed", "what was projected goes through a tanh", projected=projected(lambda m, w: np.tanh(m @ w))
    ),
    projection(
        "recurrence-unprojected",
        "the recurrence reads the first P units of what is not yet projected",
        after_step=noted,
        before_step=unprojected,
    ),
    projection(
        "final-hidden-unprojected",
        "h_n is the first P units of what is not yet projected",
        after_step=noted,
        final=lambda lstm, y, h, c: (y, lstm.kept["m"][:, : h.shape[1]], c),
    ),
    projection("projection-reshaped", "the memory of W_hr is read as [H, P]", weights_used=each_array(reread, "w_hr")),
    projection(
        "projection-lacks-last-unit",
        "the projection leaves out the last hidden unit",
        projected=projected(lambda m, w: m[:, :-1] @ w[:-1]),
    ),
    projection(
        "projection-of-first-layer",
        "upper layers use the first one's W_hr",
        needs=PROJECTED | {"num_layers": 2},
        weights_used=from_layer(0, "w_hr"),
    ),
    projection(
        "projection-of-forward",
        "the reverse direction uses the forward one's W_hr",
        needs=PROJECTED | BIDIRECTIONAL,
        weights_used=from_forward("w_hr"),
    ),
    projection(
        "projection-in-float16",
        "the projection's operands are rounded to float16",
        projected=projected(lambda m, w: to_float16(m) @ to_float16(w)),
        hint=False,
    ),
)
