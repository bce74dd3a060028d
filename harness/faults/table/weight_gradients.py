"""Gradients of the weights that are cut short, carried over, of the wrong state, rounded, or missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

from ..changes import gradients_of
from ..fault import Fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Run
from ..rounding import to_float16
from .gradients import gradients, projected, zero


def counted(name: str, sentence: str, change: Any) -> Fault:
    """The weights' gradients without some steps or rows: change(dz, total) in place."""

    def changed(lstm: Any, dz: Array, total: Array) -> tuple[Array, Array]:
        dz, total = dz.copy(), total.copy()
        change(dz, total)
        return dz, total

    return gradients(name, sentence, counted=changed)


def zero_steps(steps: slice) -> Any:
    """Zeros for these steps."""

    def change(dz: Array, total: Array) -> None:
        dz[steps] = total[steps] = 0

    return change


def zero_rows(rows: slice) -> Any:
    """Zeros for these rows, where there are more than one."""

    def change(dz: Array, total: Array) -> None:
        if dz.shape[1] > 1:
            dz[:, rows] = total[:, rows] = 0

    return change


def of_weights(change: Any) -> Any:
    """weight_gradients: change(lstm, the gradients, weights, run, dz)."""

    def weight_gradients(lstm: Any, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        found: DirectionWeights = change(lstm, CorrectLSTM.weight_gradients(lstm, p, run, dz, total), p, run, dz)
        return found

    return weight_gradients


def decayed(lstm: Any, w: DirectionWeights, p: Packed, run: Run, dz: Array) -> DirectionWeights:
    """With a part of each weight added."""
    return replace(w, w_hh=w.w_hh + 1e-4 * p.w_hh.T)


def without_last_unit(lstm: Any, w: DirectionWeights, p: Packed, run: Run, dz: Array) -> DirectionWeights:
    """0 for the last unit of each gate."""
    w_hh, hidden = w.w_hh.copy(), lstm.spec.hidden_size
    if hidden > 1:
        w_hh[hidden - 1 :: hidden] = 0
    return replace(w, w_hh=w_hh)


def added_to_before(lstm: Any, w: DirectionWeights, p: Packed, run: Run, dz: Array) -> DirectionWeights:
    """W's added to that of the call before."""
    before = lstm.kept.get((p.layer, p.direction), 0)
    w = replace(w, w_ih=w.w_ih + before)
    lstm.kept[p.layer, p.direction] = w.w_ih
    return w


def with_new_hidden(lstm: Any, w: DirectionWeights, p: Packed, run: Run, dz: Array) -> DirectionWeights:
    """U's with h after each step."""
    after = np.concatenate([s.h for s in run.steps])
    return replace(w, w_hh=np.matmul(dz.reshape(len(after), -1).T, after))


def by_chance(lstm: Any, w: DirectionWeights, p: Packed, run: Run, dz: Array) -> DirectionWeights:
    """Half of W's one rounding larger."""
    up = lstm.chance.random(w.w_ih.shape) < 0.5
    return replace(w, w_ih=np.where(up, np.nextafter(w.w_ih, np.inf, dtype=w.w_ih.dtype), w.w_ih))


def without_initial(lstm: Any, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
    """U's with h0 = 0."""
    first = replace(run.steps[0], h_before=zero(run.steps[0].h_before))
    return CorrectLSTM.weight_gradients(lstm, p, Run(run.x, [first, *run.steps[1:]], run.mask), dz, total)


class ProjectionGradientWithoutRecurrence(CorrectLSTM):
    """The gradient of W_hr with grad_y in place of the gradient of h."""

    def direction_back(
        self, p: Packed, run: Run, grad_y: Array, dh: Array, dc: Array
    ) -> tuple[Array, Array, Array, DirectionWeights]:
        self.kept["grad_y"] = np.ascontiguousarray(grad_y)
        return super().direction_back(p, run, grad_y, dh, dc)

    def counted(self, dz: Array, total: Array) -> tuple[Array, Array]:
        return dz, self.kept["grad_y"]


FAULTS = (
    gradients(
        "biases-share-gradient",
        "the biases share their gradient, half for each",
        gradients_returned=gradients_of(("b_ih", "b_hh"), lambda lstm, a: a / 2),
    ),
    counted("last-step-only", "the weights' gradients are those of the last step alone", zero_steps(slice(-1))),
    counted("first-step-left-out", "the weights' gradients leave the first step out", zero_steps(slice(1))),
    counted("last-row-left-out", "the weights' gradients leave the last row out", zero_rows(slice(-1, None))),
    counted("first-row-left-out", "the weights' gradients leave the first row out", zero_rows(slice(1))),
    counted("first-row-only", "the weights' gradients are those of the first row alone", zero_rows(slice(1, None))),
    counted("last-row-only", "the weights' gradients are those of the last row alone", zero_rows(slice(-1))),
    gradients("recurrent-gradient-without-initial-state", "the gradient of U takes h0 as 0", weight_gradients=without_initial),
    gradients(
        "recurrent-gradient-with-new-hidden",
        "the gradient of U is taken with h after the step instead of before it",
        weight_gradients=of_weights(with_new_hidden),
    ),
    projected(
        "projection-gradient-without-recurrence",
        "the gradient of W_hr is taken with grad_y alone, without what comes from later steps",
        base=ProjectionGradientWithoutRecurrence,
    ),
    gradients(
        "last-units-gradient-missing",
        "the gradients of the last unit's recurrent weights are 0, where there are others",
        weight_gradients=of_weights(without_last_unit),
    ),
    gradients("weight-decay-added", "a ten-thousandth of U is added to its gradient", weight_gradients=of_weights(decayed)),
    gradients(
        "gradients-accumulate",
        "the gradient of W is added to that of the call before",
        weight_gradients=of_weights(added_to_before),
        hint=False,
    ),
    gradients(
        "gradients-not-deterministic",
        "the gradient of W differs by one rounding from call to call, and determinism is promised",
        after="pytorch 35661, 18110",
        weight_gradients=of_weights(by_chance),
        hint=False,
    ),
    gradients(
        "gradients-in-float16",
        "the gradient of U is rounded to float16",
        weight_gradients=of_weights(lambda lstm, w, *_: replace(w, w_hh=to_float16(w.w_hh))),
        hint=False,
    ),
)
