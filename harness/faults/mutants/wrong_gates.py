"""Wrong gates: swapped, in another project's order, without or with too much bias, with the wrong sign."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed, Step
from .subject import Subject

SIXTEEN = ("float16", "bfloat16")


class _Reordered(Subject):
    """Gates taken in another order than i, f, g, o."""

    gates_order: ClassVar[tuple[int, int, int, int]] = (0, 1, 2, 3)

    def ordered(self, array: Array) -> Array:
        parts = np.split(np.asarray(array), 4)
        return np.concatenate([parts[k] for k in self.gates_order])


@wrong("gates", also=SIXTEEN)
class InputAndForgetSwapped(_Reordered):
    """The input and the forget gate are swapped."""

    gates_order = (1, 0, 2, 3)


@wrong("gates", also=SIXTEEN)
class InputAndCandidateSwapped(_Reordered):
    """The input gate and the candidate are swapped."""

    gates_order = (2, 1, 0, 3)


@wrong("gates", also=SIXTEEN)
class InputAndOutputSwapped(_Reordered):
    """The input and the output gate are swapped."""

    gates_order = (3, 1, 2, 0)


@wrong("gates", also=SIXTEEN)
class ForgetAndCandidateSwapped(_Reordered):
    """The forget gate and the candidate are swapped."""

    gates_order = (0, 2, 1, 3)


@wrong("gates", also=SIXTEEN)
class ForgetAndOutputSwapped(_Reordered):
    """The forget and the output gate are swapped."""

    gates_order = (0, 3, 2, 1)


@wrong("gates", also=SIXTEEN)
class CandidateAndOutputSwapped(_Reordered):
    """The candidate and the output gate are swapped."""

    gates_order = (0, 1, 3, 2)


@wrong("gates")
class OnnxGateOrder(_Reordered):
    """Gates are taken as packed i, o, f, g, which is ONNX's order."""

    gates_order = (0, 2, 3, 1)


@wrong("gates")
class RecurrentGatesSwapped(Subject):
    """The input and the forget gate are swapped in U alone."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p, n = super().pack(w, layer, direction), self.spec.hidden_size
        p.w_hh = np.concatenate([p.w_hh[:, n : 2 * n], p.w_hh[:, :n], p.w_hh[:, 2 * n :]], axis=1)
        return p


class _OneBias(Subject):
    """The biases with a factor each."""

    factors: ClassVar[tuple[float, float]] = (1.0, 1.0)

    def bias(self, w: DirectionWeights) -> Array | None:
        if w.b_ih is None or w.b_hh is None:
            return None
        return np.asarray(self.factors[0] * self.load(w.b_ih) + self.factors[1] * self.load(w.b_hh))


@wrong("gates")
class InputBiasMissing(_OneBias):
    """b_ih is left out."""

    factors = (0.0, 1.0)


@wrong("gates", after="intel/torch-xpu-ops 3770")
class RecurrentBiasMissing(_OneBias):
    """b_hh is left out."""

    factors = (1.0, 0.0)


@wrong("gates")
class InputBiasTwice(_OneBias):
    """b_ih is added twice, b_hh not at all."""

    factors = (2.0, 0.0)


@wrong("gates")
class RecurrentBiasSubtracted(_OneBias):
    """b_hh is subtracted."""

    factors = (1.0, -1.0)


@wrong("gates", after="ddbourgin/numpy-ml 42")
class OneBiasForThreeGates(Subject):
    """The input gate's bias serves the forget and the output gate, too."""

    def bias(self, w: DirectionWeights) -> Array | None:
        b = super().bias(w)
        if b is None:
            return None
        i, _, g, _ = np.split(b, 4)
        return np.concatenate([i, i, g, i])


@wrong("gates")
class ForgetBiasOne(Subject):
    """1 is added to the forget gate, as if its bias had not been set."""

    def bias(self, w: DirectionWeights) -> Array | None:
        b = super().bias(w)
        if b is not None:
            b[self.spec.hidden_size : 2 * self.spec.hidden_size] += 1
        return b


@wrong("gates")
class ForgetBiasSlightlyOff(Subject):
    """The bias of one unit's forget gate is off by 1e-5."""

    def bias(self, w: DirectionWeights) -> Array | None:
        b = super().bias(w)
        if b is not None:
            b[self.spec.hidden_size] += 1e-5
        return b


@wrong("gates", no_bias=True)
class BiasAssumed(Subject):
    """Without a bias, that of an earlier use is still in place: a small constant."""

    def bias(self, w: DirectionWeights) -> Array | None:
        b = super().bias(w)
        return np.full(4 * self.spec.hidden_size, 0.01, self.compute) if b is None else b


@wrong("gates")
class CoupledGates(Subject):
    """The input gate is 1 - f."""

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        return np.asarray(f * c + (1 - f) * g)


@wrong("gates")
class ForgetGateMissing(Subject):
    """c forgets nothing, as in the LSTM of 1997."""

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        return np.asarray(c + i * g)


@wrong("gates")
class CandidateNegated(Subject):
    """The candidate is subtracted."""

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        return np.asarray(f * c - i * g)


@wrong("gates")
class OutputGateMissing(Subject):
    """h is tanh c without its gate."""

    def output(self, o: Array, tanh_c: Array) -> Array:
        return tanh_c


@wrong("gates")
class OutputGatedByInput(Subject):
    """One unit's output is gated by its input gate."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        s.h[:, 0] = s.gates[:, 0] * s.tanh_c[:, 0]
        return s
