"""Wrong gradients of the weights: cut short, carried over, of the wrong state, rounded, or not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMWeights
from lstm_parity.backends.problem import Array

from .chance import generator
from .mutant import wrong
from .parts import Packed, Run
from .rounding import rounded_to
from .subject import Subject

TRAINED: dict[str, Any] = {"gradients": True}
PEEPING: dict[str, Any] = {"gradients": True, "peephole": True}
PROJECTED: dict[str, Any] = {"gradients": True, "projection": True}


class _Weights(Subject):
    """Other gradients of the weights."""

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        """The gradients as they are kept."""
        return w

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        return self.changed(super().weight_gradients(p, run, dz, total), dz.shape[1])


@wrong("gradients", **TRAINED)
class RecurrentBiasGradientMissing(_Weights):
    """The gradient of b_hh is 0."""

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        return w if w.b_hh is None else replace(w, b_hh=np.zeros_like(w.b_hh))


@wrong("gradients", **TRAINED)
class MeanOverTheBatch(_Weights):
    """The weights' gradients are a mean over the batch instead of a sum."""

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        return DirectionWeights(**{name: array / batch for name, array in w.items()})


@wrong("gradients", **TRAINED)
class WeightDecayAdded(_Weights):
    """A ten-thousandth of each weight is added to its gradient."""

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        w = super().weight_gradients(p, run, dz, total)
        return replace(w, w_hh=w.w_hh + 1e-4 * p.w_hh.T)


@wrong("gradients", **TRAINED)
class LastUnitsGradientMissing(_Weights):
    """The gradients of the last unit's recurrent weights are 0, where there are others."""

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        w_hh, hidden = w.w_hh.copy(), len(w.w_hh) // 4
        if hidden > 1:
            w_hh[hidden - 1 :: hidden] = 0
        return replace(w, w_hh=w_hh)


@wrong("gradients", **PEEPING)
class PeepholeGradientMissing(_Weights):
    """The gradient of the peepholes is 0."""

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        return w if w.peephole is None else replace(w, peephole=np.zeros_like(w.peephole))


@wrong("gradients", **PROJECTED)
class ProjectionGradientMissing(_Weights):
    """The gradient of W_hr is 0."""

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        return w if w.w_hr is None else replace(w, w_hr=np.zeros_like(w.w_hr))


class _Accumulated(_Weights):
    """Gradients that start from those of the call before."""

    before: dict[tuple[int, int], DirectionWeights]

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.before = {}
        super().__init__(spec, weights)

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        w = super().weight_gradients(p, run, dz, total)
        before = self.before.get((p.layer, p.direction))
        if before is not None:
            w = replace(w, w_ih=w.w_ih + before.w_ih)
        self.before[p.layer, p.direction] = w
        return w


@wrong("gradients", **TRAINED)
class GradientsAccumulate(_Accumulated):
    """The gradient of W is added to that of the call before."""


class _Cut(Subject):
    """The weights' gradients over some steps only."""

    def first(self, steps: int) -> int:
        """The first step that counts."""
        return 0

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        dz, total = dz.copy(), total.copy()
        dz[: self.first(len(dz))] = 0
        total[: self.first(len(dz))] = 0
        return super().weight_gradients(p, run, dz, total)


@wrong("gradients", **TRAINED)
class LastStepOnly(_Cut):
    """The weights' gradients are those of the last step alone."""

    def first(self, steps: int) -> int:
        return steps - 1


@wrong("gradients", **TRAINED)
class FirstStepLeftOut(_Cut):
    """The weights' gradients leave the first step out."""

    def first(self, steps: int) -> int:
        return 1


@wrong("gradients", **TRAINED)
class RecurrentGradientWithNewHidden(Subject):
    """The gradient of U is taken with h after the step instead of before it."""

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        w = super().weight_gradients(p, run, dz, total)
        after = np.concatenate([s.h for s in run.steps])
        return replace(w, w_hh=np.matmul(dz.reshape(len(after), -1).T, after))


@wrong("gradients", **TRAINED)
class RecurrentGradientWithoutInitialState(Subject):
    """The gradient of U takes h0 as 0."""

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        first = replace(run.steps[0], h_before=np.zeros_like(run.steps[0].h_before))
        return super().weight_gradients(p, Run(run.x, [first, *run.steps[1:]], run.mask), dz, total)


@wrong("gradients", **TRAINED)
class LastRowLeftOut(Subject):
    """The weights' gradients leave the last row out, where there are more than one."""

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        dz = dz.copy()
        dz[:, max(1, dz.shape[1] - 1) :] = 0
        return super().weight_gradients(p, run, dz, total)


@wrong("gradients", **TRAINED, after="pytorch 35661, 18110")
class GradientsNotDeterministic(_Weights):
    """The gradient of W differs by one rounding from call to call, and determinism is promised."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.rng = generator(weights)
        super().__init__(spec, weights)

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        up = self.rng.random(w.w_ih.shape) < 0.5
        return replace(w, w_ih=np.where(up, np.nextafter(w.w_ih, np.inf, dtype=w.w_ih.dtype), w.w_ih))


@wrong("gradients", **TRAINED)
class GradientsInFloat16(_Weights):
    """The gradient of U goes through float16 in a float32 promise."""

    def changed(self, w: DirectionWeights, batch: int) -> DirectionWeights:
        return replace(w, w_hh=rounded_to(w.w_hh, np.float16))


@wrong("gradients", **PROJECTED)
class ProjectionGradientWithoutRecurrence(Subject):
    """The gradient of W_hr is taken with grad_y alone, without what comes from later steps."""

    def direction_back(
        self, p: Packed, run: Run, grad_y: Array, dh: Array, dc: Array
    ) -> tuple[Array, Array, Array, DirectionWeights]:
        self.alone = grad_y
        return super().direction_back(p, run, grad_y, dh, dc)

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        return super().weight_gradients(p, run, dz, np.ascontiguousarray(self.alone))
