"""Right backends that differ from CorrectLSTM in ways that must not matter: a check that flags one of these is wrong itself."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from lstm_parity.backends import Capabilities, DirectionWeights, LSTMSpec, LSTMWeights
from lstm_parity.backends.problem import STORAGE, Array

from .fault import Mutant
from .lstm import EVERYTHING, CorrectLSTM, sigmoid
from .lstm_parts import Packed
from .rounding import tf32_rounded, tf32_truncated

U = 2.0**-24
BELOW_FLOAT64 = frozenset(STORAGE) - {"float64"}
HALVES = frozenset({"float16", "bfloat16"})
RIGHT: list[Mutant] = []

Class = TypeVar("Class", bound=type[CorrectLSTM])


def right(**promises: Any) -> Callable[[Class], Class]:
    """Enter the class into RIGHT, under its name in kebab-case, promising everything but for `promises`."""

    def enter(cls: Class) -> Class:
        cls.capabilities = Capabilities(**(EVERYTHING | promises))
        assert cls.__doc__
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()
        RIGHT.append(Mutant(name, "right", cls.__doc__.removesuffix("."), cls))
        return cls

    return enter


@right()
class Plain(CorrectLSTM):
    """CorrectLSTM itself."""


@right()
class SumsReversed(CorrectLSTM):
    """Every sum of products runs from its last term to its first."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(np.ascontiguousarray(a[:, ::-1]), np.ascontiguousarray(b[::-1])))


@right()
class SumsInTiles(CorrectLSTM):
    """Sums run in tiles of 5 terms, the last one filled up with zeros."""

    def product(self, a: Array, b: Array) -> Array:
        missing = -a.shape[1] % 5
        a, b = np.pad(a, ((0, 0), (0, missing))), np.pad(b, ((0, missing), (0, 0)))
        tiles = np.matmul(a.reshape(len(a), -1, 5).transpose(1, 0, 2), b.reshape(-1, 5, b.shape[1]))
        return np.asarray(tiles.sum(0))


@right()
class SumsInHalves(CorrectLSTM):
    """Sums are split into two halves, added at the end."""

    def product(self, a: Array, b: Array) -> Array:
        k = a.shape[1] // 2
        return np.asarray(np.matmul(a[:, :k], b[:k]) + np.matmul(a[:, k:], b[k:]))


@right()
class SumsOneByOne(CorrectLSTM):
    """Sums add one product after the other."""

    def product(self, a: Array, b: Array) -> Array:
        total = np.zeros((len(a), b.shape[1]), self.compute)
        for k in range(a.shape[1]):
            total += a[:, k, None] * b[k]
        return total


@right()
class FusedMultiplyAdd(CorrectLSTM):
    """Sums add one product after the other with one rounding for both; in float64, where none wider is at hand, with two."""

    def product(self, a: Array, b: Array) -> Array:
        total = np.zeros((len(a), b.shape[1]), self.compute)
        wide = np.asarray(a, np.float64)
        for k in range(a.shape[1]):
            total = (wide[:, k, None] * b[k] + total).astype(self.compute)
        return total


@right(deterministic=False)
class SumsInAnyOrder(CorrectLSTM):
    """Sums run in another order at every call, and no determinism is promised."""

    def product(self, a: Array, b: Array) -> Array:
        order = self.chance.permutation(a.shape[1])
        return np.asarray(np.matmul(a[:, order], b[order]))


@right()
class OneProductForBoth(CorrectLSTM):
    """[h, x] is multiplied by both matrices at once."""

    def input_products(self, p: Packed, x: Array) -> Array:
        return x

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        z = self.product(np.concatenate([h, wx], axis=1), np.concatenate([p.w_hh, p.w_ih]))
        return z if p.bias is None else z + p.bias


@right()
class BiasFirst(CorrectLSTM):
    """The biases come first: b_hh to U h, b_ih to W x."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        if w.b_ih is not None and w.b_hh is not None:
            self.b_hh[layer, direction] = np.array(w.b_hh)
        return super().pack(w, layer, direction)

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.b_hh: dict[tuple[int, int], Array] = {}
        super().__init__(spec, weights)

    def bias(self, w: DirectionWeights) -> Array | None:
        return None if w.b_ih is None else np.array(w.b_ih)

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        products = self.product(h, p.w_hh)
        return wx + (products if p.bias is None else products + self.b_hh[p.layer, p.direction])


@right()
class RowsPadded(CorrectLSTM):
    """The left operand of each product has its rows filled up to a multiple of 8 with zeros."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(np.pad(a, ((0, -len(a) % 8), (0, 0))), b)[: len(a)])


@right()
class LastResultsKept(CorrectLSTM):
    """Copies of the last eight results are kept, and no more."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.last: deque[Array] = deque(maxlen=8)
        super().__init__(spec, weights)

    def returned(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        self.last.append(y.copy())
        return y, h, c


@right()
class Float64Inside(CorrectLSTM):
    """Everything is computed in float64 and stored in the precision's dtype."""

    def arithmetic(self) -> np.dtype[Any]:
        return np.dtype(np.float64)


@right()
class TanhFromSigmoid(CorrectLSTM):
    """tanh z is 2 sigmoid(2 z) - 1, which doubles the error of the sigmoid."""

    def tanh(self, z: Array) -> Array:
        return 2 * self.sigmoid(2 * z) - 1


@right()
class SigmoidFromTanh(CorrectLSTM):
    """sigmoid z is (1 + tanh(z / 2)) / 2."""

    def sigmoid(self, z: Array) -> Array:
        return np.asarray((1 + np.tanh(z / 2)) / 2)


@right(precisions=HALVES)
class RoundedGates(CorrectLSTM):
    """Products, sums and gates are rounded to 16 bits."""

    def input_products(self, p: Packed, x: Array) -> Array:
        return self.stored(super().input_products(p, x))

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        return self.stored(self.stored(self.product(h, p.w_hh)) + wx)

    def sigmoid(self, z: Array) -> Array:
        return self.stored(sigmoid(z))

    def tanh(self, z: Array) -> Array:
        return self.stored(super().tanh(z))


@right(precisions=HALVES)
class RoundedCell(CorrectLSTM):
    """c is kept in 16 bits between the steps."""

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        return self.stored(super().cell(i, f, g, c))


@right(precisions=BELOW_FLOAT64)
class ActivationsAtTheEdge(CorrectLSTM):
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
class FastActivations(CorrectLSTM):
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
class Tf32Rounded(CorrectLSTM):
    """Operands of products are rounded to TF32, as promised."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(tf32_rounded(a), tf32_rounded(b)))


@right(precisions=frozenset({"tf32"}))
class Tf32Truncated(CorrectLSTM):
    """Operands of products are cut to TF32, as tensor cores cut raw float32."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(tf32_truncated(a), tf32_truncated(b)))
