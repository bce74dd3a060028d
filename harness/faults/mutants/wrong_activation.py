"""Wrong activations: hard, rational, clipped, tabulated, overflowing, or none."""

from __future__ import annotations

import numpy as np

from lstm_parity.backends.problem import Array

from .mutant import wrong
from .right import fast_sigmoid
from .subject import Subject


@wrong("activation")
class HardSigmoid(Subject):
    """The sigmoid is 0.2 z + 0.5, clipped to 0..1."""

    def sigmoid(self, z: Array) -> Array:
        return np.clip(z / 5 + 0.5, 0, 1)


@wrong("activation")
class HardTanh(Subject):
    """The tanh is z clipped to -1..1."""

    def tanh(self, z: Array) -> Array:
        return np.clip(z, -1, 1)


@wrong("activation")
class RationalTanh(Subject):
    """The tanh is a rational function of degree 3, clipped at 3: off by 0.02."""

    def tanh(self, z: Array) -> Array:
        z = np.clip(z, -3, 3)
        return np.asarray(z * (27 + z * z) / (27 + 9 * z * z))


@wrong("activation")
class ContinuedFractionTanh(Subject):
    """The tanh is a continued fraction of five terms, clipped at 4.97: off by 1e-4."""

    def tanh(self, z: Array) -> Array:
        z = np.clip(z, -4.97, 4.97)
        q = z * z
        return np.asarray(z * (10395 + q * (1260 + 21 * q)) / (10395 + q * (4725 + q * (210 + q))))


@wrong("activation")
class TanhSlightlyOff(Subject):
    """The tanh is off by up to 1e-4, up and down."""

    def tanh(self, z: Array) -> Array:
        return np.asarray(np.tanh(z) + 1e-4 * np.sin(20 * z)).astype(z.dtype)


@wrong("activation")
class TanhClipped(Subject):
    """The tanh's argument is clipped to -4..4."""

    def tanh(self, z: Array) -> Array:
        return np.asarray(np.tanh(np.clip(z, -4, 4)))


@wrong("activation")
class SigmoidClipped(Subject):
    """The sigmoid's argument is clipped to -8..8, so that no gate ever closes."""

    def sigmoid(self, z: Array) -> Array:
        return super().sigmoid(np.clip(z, -8, 8))


@wrong("activation")
class SigmoidFromTable(Subject):
    """The sigmoid comes from a table with steps of 1/1024, not interpolated."""

    def sigmoid(self, z: Array) -> Array:
        return super().sigmoid(np.rint(z * 1024) / 1024)


@wrong("activation")
class FastActivationsUndeclared(Subject):
    """Both activations come from an exponential with a short polynomial, and 4 units are promised where 28 are needed."""

    def sigmoid(self, z: Array) -> Array:
        return fast_sigmoid(z)

    def tanh(self, z: Array) -> Array:
        return 2 * fast_sigmoid(2 * z) - 1


@wrong("activation")
class GatesAboveOne(Subject):
    """A saturated sigmoid is 1 + 1e-5."""

    def sigmoid(self, z: Array) -> Array:
        return np.asarray(super().sigmoid(z) * (1 + 1e-5)).astype(z.dtype)


@wrong("activation")
class CandidateBySigmoid(Subject):
    """The candidate goes through a sigmoid."""

    def candidate(self, z: Array) -> Array:
        return self.sigmoid(z)


@wrong("activation")
class CandidateRectified(Subject):
    """The candidate's activation is max(z, 0)."""

    def candidate(self, z: Array) -> Array:
        return np.maximum(z, 0)


@wrong("activation")
class CellNotSquashed(Subject):
    """h is o c, its tanh left out."""

    def squashed(self, c: Array) -> Array:
        return c


@wrong("activation")
class SigmoidOverflows(Subject):
    """The sigmoid is exp(z) / (1 + exp(z)), which is NaN once exp(z) is infinite."""

    def sigmoid(self, z: Array) -> Array:
        e = np.exp(z)
        return np.asarray(e / (1 + e))


@wrong("activation")
class SigmoidOverflowsBelow(Subject):
    """The sigmoid is 1 - t / (1 + t) with t = exp(-z), which is NaN for large negative z."""

    def sigmoid(self, z: Array) -> Array:
        t = np.exp(-z)
        return np.asarray(1 - t / (1 + t))


@wrong("activation")
class TanhOverflows(Subject):
    """The tanh is (exp(2 z) - 1) / (exp(2 z) + 1), which is NaN once exp(2 z) is infinite."""

    def tanh(self, z: Array) -> Array:
        e = np.exp(2 * z)
        return np.asarray((e - 1) / (e + 1))
