"""Peepholes that are missing, swapped, or see the wrong cell."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..changes import each_array
from ..fault import PEEPHOLE, Fault, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Step

peephole = partial(fault, "peephole", needs=PEEPHOLE)


def weights(name: str, sentence: str, change: Any) -> Fault:
    """Other peephole weights: change(array [3, H])."""
    return peephole(name, sentence, weights_used=each_array(change, "peephole"))


def factors(*of_gates: int) -> Any:
    """Peepholes times a factor for each of i, f, o."""
    return lambda a: np.asarray(a * np.array(of_gates, a.dtype)[:, None])


def noted(lstm: Any, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
    """Keeps what the step starts from."""
    lstm.kept["step"] = t, h
    return h, c


def hidden_seen(lstm: Any, p: Packed, which: int, c: Array) -> Array:
    """i and f see h'."""
    return CorrectLSTM.peep(lstm, p, which, c if which == 2 else lstm.kept["step"][1])


def nothing_seen_at_first(lstm: Any, p: Packed, which: int, c: Array) -> Array:
    """i and f see 0 at the first step."""
    term = CorrectLSTM.peep(lstm, p, which, c)
    return term if which == 2 or lstm.kept["step"][0] else np.zeros_like(term)


def candidate_peeps(lstm: Any, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
    """The candidate sees c' through the input gate's peephole."""
    if p.peephole is not None:
        n = lstm.spec.hidden_size
        wx = wx.copy()
        wx[:, 2 * n : 3 * n] += CorrectLSTM.peep(lstm, p, 0, c)
    return CorrectLSTM.step(lstm, p, t, wx, h, c)


FAULTS = (
    weights("peepholes-missing", "the peepholes are ignored", factors(0, 0, 0)),
    weights("input-and-forget-peepholes-swapped", "the peepholes of i and f are swapped", lambda a: a[[1, 0, 2]]),
    weights("onnx-peephole-order", "the peepholes are read in the order i, o, f, ONNX's", lambda a: a[[0, 2, 1]]),
    weights("input-and-output-peepholes-swapped", "the peepholes of i and o are swapped", lambda a: a[[2, 1, 0]]),
    weights("peepholes-reshaped", "the memory of the peepholes is read as [H, 3]", lambda a: a.reshape(-1, 3).T),
    peephole(
        "output-sees-old-cell",
        "the peephole of o sees the cell before the step",
        output_peep=lambda lstm, p, before, c: CorrectLSTM.peep(lstm, p, 2, before),
    ),
    peephole(
        "output-sees-tanh-of-cell",
        "the peephole of o sees tanh(c)",
        output_peep=lambda lstm, p, before, c: CorrectLSTM.peep(lstm, p, 2, np.tanh(c)),
    ),
    weights("input-peephole-missing", "the peephole of i is ignored", factors(0, 1, 1)),
    weights("forget-peephole-missing", "the peephole of f is ignored", factors(1, 0, 1)),
    weights("output-peephole-missing", "the peephole of o is ignored", factors(1, 1, 0)),
    weights("input-peephole-subtracted", "the peephole of i is subtracted", factors(-1, 1, 1)),
    weights("forget-peephole-subtracted", "the peephole of f is subtracted", factors(1, -1, 1)),
    weights("output-peephole-subtracted", "the peephole of o is subtracted", factors(1, 1, -1)),
    weights(
        "first-units-peephole-for-all",
        "the first unit's peepholes are used for all",
        lambda a: np.repeat(a[:, :1], a.shape[1], axis=1),
    ),
    peephole("peepholes-see-hidden", "i and f see h' instead of c'", before_step=noted, peep=hidden_seen),
    peephole(
        "peepholes-blind-at-first", "at the first step i and f do not see c0", before_step=noted, peep=nothing_seen_at_first
    ),
    peephole("candidate-peeps", "the candidate sees c' through the input gate's peephole", step=candidate_peeps),
)
