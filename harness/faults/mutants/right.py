"""Right backends that differ from the subject in ways that must not matter: whoever flags one of these is wrong itself."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import STORAGE, Array

from .chance import generator
from .mutant import right
from .parts import Packed
from .rounding import tf32_rounded, tf32_truncated
from .subject import Subject

U = 2.0**-24
BELOW_FLOAT64 = frozenset(STORAGE) - {"float64"}
HALVES = frozenset({"float16", "bfloat16"})


@right()
class Plain(Subject):
    """The subject itself."""


@right()
class SumsReversed(Subject):
    """Every sum of products runs from its last term to its first."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(np.ascontiguousarray(a[:, ::-1]), np.ascontiguousarray(b[::-1])))


@right()
class SumsInTiles(Subject):
    """Sums run in tiles of 5 terms, the last one filled up with zeros."""

    def product(self, a: Array, b: Array) -> Array:
        missing = -a.shape[1] % 5
        a, b = np.pad(a, ((0, 0), (0, missing))), np.pad(b, ((0, missing), (0, 0)))
        tiles = np.matmul(a.reshape(len(a), -1, 5).transpose(1, 0, 2), b.reshape(-1, 5, b.shape[1]))
        return np.asarray(tiles.sum(0))


@right()
class SumsInHalves(Subject):
    """Sums are split into two halves, added at the end."""

    def product(self, a: Array, b: Array) -> Array:
        k = a.shape[1] // 2
        return np.asarray(np.matmul(a[:, :k], b[:k]) + np.matmul(a[:, k:], b[k:]))


@right()
class SumsOneByOne(Subject):
    """Sums add one product after the other."""

    def product(self, a: Array, b: Array) -> Array:
        total = np.zeros((len(a), b.shape[1]), self.compute)
        for k in range(a.shape[1]):
            total += a[:, k, None] * b[k]
        return total


@right()
class FusedMultiplyAdd(Subject):
    """Sums add one product after the other with one rounding for both; in float64, where none wider is at hand, with two."""

    def product(self, a: Array, b: Array) -> Array:
        total = np.zeros((len(a), b.shape[1]), self.compute)
        wide = np.asarray(a, np.float64)
        for k in range(a.shape[1]):
            total = (wide[:, k, None] * b[k] + total).astype(self.compute)
        return total


@right(deterministic=False)
class SumsInAnyOrder(Subject):
    """Sums run in another order at every call, and no determinism is promised."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.rng = generator(weights)
        super().__init__(spec, weights)

    def product(self, a: Array, b: Array) -> Array:
        order = self.rng.permutation(a.shape[1])
        return np.asarray(np.matmul(a[:, order], b[order]))


@right()
class OneProductForBoth(Subject):
    """[h, x] is multiplied by both matrices at once."""

    def input_products(self, p: Packed, x: Array) -> Array:
        return x

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        z = self.product(np.concatenate([h, wx], axis=1), np.concatenate([p.w_hh, p.w_ih]))
        return z if p.bias is None else z + p.bias


@right()
class BiasFirst(Subject):
    """The biases come first: b_hh to U h, b_ih to W x."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        if w.b_ih is not None and w.b_hh is not None:
            self.b_hh[layer, direction] = np.array(self.load(w.b_hh))
        return super().pack(w, layer, direction)

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.b_hh: dict[tuple[int, int], Array] = {}
        super().__init__(spec, weights)

    def bias(self, w: DirectionWeights) -> Array | None:
        return None if w.b_ih is None else np.array(self.load(w.b_ih))

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        products = self.product(h, p.w_hh)
        return wx + (products if p.bias is None else products + self.b_hh[p.layer, p.direction])


@right()
class RowsPadded(Subject):
    """The left operand of each product has its rows filled up to a multiple of 8 with zeros."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(np.pad(a, ((0, -len(a) % 8), (0, 0))), b)[: len(a)])


@right()
class LastResultsKept(Subject):
    """Copies of the last eight results are kept, and no more."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.kept: deque[Array] = deque(maxlen=8)
        super().__init__(spec, weights)

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        self.kept.append(y.copy())
        return y, last


@right()
class Float64Inside(Subject):
    """Everything is computed in float64 and stored in the precision's dtype."""

    def arithmetic(self) -> np.dtype[Any]:
        return np.dtype(np.float64)


@right()
class TanhFromSigmoid(Subject):
    """tanh z is 2 sigmoid(2 z) - 1, which doubles the error of the sigmoid."""

    def tanh(self, z: Array) -> Array:
        return 2 * self.sigmoid(2 * z) - 1


@right()
class SigmoidFromTanh(Subject):
    """sigmoid z is (1 + tanh(z / 2)) / 2."""

    def sigmoid(self, z: Array) -> Array:
        return np.asarray((1 + np.tanh(z / 2)) / 2)


@right(precisions=HALVES)
class RoundedGates(Subject):
    """Products, sums and gates are rounded to 16 bits."""

    def input_products(self, p: Packed, x: Array) -> Array:
        return self.stored(super().input_products(p, x))

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        return self.stored(self.stored(self.product(h, p.w_hh)) + wx)

    def sigmoid(self, z: Array) -> Array:
        return self.stored(super().sigmoid(z))

    def tanh(self, z: Array) -> Array:
        return self.stored(super().tanh(z))


@right(precisions=HALVES)
class RoundedCell(Subject):
    """c is kept in 16 bits between the steps."""

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        return self.stored(super().cell(i, f, g, c))


@right(precisions=BELOW_FLOAT64)
class ActivationsAtTheEdge(Subject):
    """Sigmoid and tanh err by 3.5 units up or down, by the value; never by more than 4 after rounding."""

    def erring(self, exact: Array) -> Array:
        sign = np.where(np.sin(exact * 1e6) > 0, 1.0, -1.0)
        top = 1 + 2 * U  # above 1, float32 has steps of 2 units
        return np.clip(exact + 3.5 * U * sign, -top, top).astype(self.compute)

    def sigmoid(self, z: Array) -> Array:
        return self.erring(1 / (1 + np.exp(-z.astype(np.float64))))

    def tanh(self, z: Array) -> Array:
        return self.erring(np.tanh(z.astype(np.float64)))


@right(precisions=BELOW_FLOAT64, activation_ulps=64)
class FastActivations(Subject):
    """Both activations come from a Taylor polynomial of degree 5; 64 units are promised, half are needed."""

    def sigmoid(self, z: Array) -> Array:
        return fast_sigmoid(z)

    def tanh(self, z: Array) -> Array:
        return 2 * fast_sigmoid(2 * z) - 1


def fast_sigmoid(z: Array) -> Array:
    """1 / (1 + 2^k e^r), where -z = k log 2 + r, and e^r is cut after r^5 / 120."""
    y = np.clip(-z, -80, 80)
    k = np.rint(y * 1.4426950408889634)
    r = y - k * 0.6931471805599453
    e = 1 + r * (1 + r / 2 * (1 + r / 3 * (1 + r / 4 * (1 + r / 5))))
    # a NaN has no exponent, and passes through r
    return np.asarray(1 / (1 + np.ldexp(e, np.nan_to_num(k).astype(np.int32))))


@right(precisions=frozenset({"tf32"}))
class Tf32Rounded(Subject):
    """Operands of products are rounded to TF32, as promised."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(tf32_rounded(a), tf32_rounded(b)))


@right(precisions=frozenset({"tf32"}))
class Tf32Truncated(Subject):
    """Operands of products are cut to TF32, as tensor cores cut raw float32."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(tf32_truncated(a), tf32_truncated(b)))
