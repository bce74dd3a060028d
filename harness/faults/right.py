"""Right backends that differ from CorrectLSTM in ways that must not matter: a check that flags one of these is wrong itself."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from lstm_parity.backends import Capabilities, DirectionWeights
from lstm_parity.backends.problem import STORAGE, Array

from .fault import Mutant, class_name
from .lstm import EVERYTHING, CorrectLSTM, sigmoid
from .lstm_parts import Packed
from .rounding import tf32_rounded, tf32_truncated

U = 2.0**-24
BELOW_FLOAT64 = {"precisions": frozenset(STORAGE) - {"float64"}}
HALVES = {"precisions": frozenset({"float16", "bfloat16"})}
TF32 = {"precisions": frozenset({"tf32"})}


def right(name: str, what: str, promises: dict[str, Any] | None = None, **methods: Any) -> Mutant:
    """CorrectLSTM with these methods in place of its own, promising everything but for `promises`."""
    capabilities = Capabilities(**(EVERYTHING | (promises or {})))
    body = {"__doc__": what, "__module__": __name__, "capabilities": capabilities, **methods}
    backend = globals()[class_name(name)] = type(class_name(name), (CorrectLSTM,), body)
    return Mutant(name, "right", what, backend)


def in_tiles(lstm: Any, a: Array, b: Array) -> Array:
    """a @ b in tiles of 5 terms, the last one filled up with zeros."""
    missing = -a.shape[1] % 5
    a, b = np.pad(a, ((0, 0), (0, missing))), np.pad(b, ((0, missing), (0, 0)))
    tiles = np.matmul(a.reshape(len(a), -1, 5).transpose(1, 0, 2), b.reshape(-1, 5, b.shape[1]))
    return np.asarray(tiles.sum(0))


def in_halves(lstm: Any, a: Array, b: Array) -> Array:
    """a @ b as the sum of two products."""
    k = a.shape[1] // 2
    return np.asarray(np.matmul(a[:, :k], b[:k]) + np.matmul(a[:, k:], b[k:]))


def one_by_one(lstm: Any, a: Array, b: Array) -> Array:
    """a @ b, one term after the other."""
    total = np.zeros((len(a), b.shape[1]), lstm.compute)
    for k in range(a.shape[1]):
        total += a[:, k, None] * b[k]
    return total


def multiplied_and_added(lstm: Any, a: Array, b: Array) -> Array:
    """a @ b, one term after the other, rounded once for each."""
    total = np.zeros((len(a), b.shape[1]), lstm.compute)
    wide = np.asarray(a, np.float64)
    for k in range(a.shape[1]):
        total = (wide[:, k, None] * b[k] + total).astype(lstm.compute)
    return total


def in_any_order(lstm: Any, a: Array, b: Array) -> Array:
    """a @ b with its terms in another order at every call."""
    order = lstm.chance.permutation(a.shape[1])
    return np.asarray(np.matmul(a[:, order], b[order]))


def both_products(lstm: Any, p: Packed, x: Array, h: Array) -> Array:
    """[U W] [h, x] + b."""
    z = lstm.product(np.concatenate([h, x], axis=1), np.concatenate([p.w_hh, p.w_ih]))
    return np.asarray(z if p.bias is None else z + p.bias)


def input_bias(lstm: Any, w: DirectionWeights) -> Array | None:
    """b_ih; b_hh is kept."""
    lstm.kept.setdefault("b_hh", []).append(w.b_hh if w.b_hh is None else np.array(w.b_hh))
    return None if w.b_ih is None else np.array(w.b_ih)


def with_recurrent_bias(lstm: Any, p: Packed, wx: Array, h: Array) -> Array:
    """U h + b_hh, and then W x + b_ih."""
    b_hh = lstm.kept["b_hh"][p.layer * lstm.spec.num_directions + p.direction]
    products = lstm.product(h, p.w_hh)
    return np.asarray(wx + (products if b_hh is None else products + b_hh))


def last_results_kept(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """Keeps copies of eight y."""
    lstm.kept.setdefault("last", deque(maxlen=8)).append(y.copy())
    return y, h, c


def at_the_edge(lstm: Any, exact: Array) -> Array:
    """The exact value with an error of 3.5 units up or down."""
    sign = np.where(np.sin(exact * 1e6) > 0, 1.0, -1.0)
    top = 1 + 2 * U  # above 1, float32 has steps of 2 units
    return np.asarray(np.clip(exact + 3.5 * U * sign, -top, top).astype(lstm.compute))


def fast_sigmoid(z: Array) -> Array:
    """1 / (1 + 2^k e^r), where -z = k log 2 + r, and e^r is cut after r^5 / 120."""
    y = np.clip(-z, -80, 80)
    k = np.rint(y * 1.4426950408889634)
    r = y - k * 0.6931471805599453
    e = 1 + r * (1 + r / 2 * (1 + r / 3 * (1 + r / 4 * (1 + r / 5))))
    # a NaN has no exponent, and passes through r
    return np.asarray(1 / (1 + np.ldexp(e, np.nan_to_num(k).astype(np.int32))))


RIGHT = (
    right("plain", "CorrectLSTM itself"),
    right(
        "sums-reversed",
        "every sum of products runs from its last term to its first",
        product=lambda _, a, b: np.matmul(np.ascontiguousarray(a[:, ::-1]), np.ascontiguousarray(b[::-1])),
    ),
    right("sums-in-tiles", "sums run in tiles of 5 terms, the last one filled up with zeros", product=in_tiles),
    right("sums-in-halves", "sums are split into two halves, added at the end", product=in_halves),
    right("sums-one-by-one", "sums add one product after the other", product=one_by_one),
    right(
        "fused-multiply-add",
        "sums add one product after the other with one rounding for both; in float64, where no wider type is at hand, with two",
        product=multiplied_and_added,
    ),
    right(
        "sums-in-any-order",
        "sums run in another order at every call, and no determinism is promised",
        {"deterministic": False},
        product=in_any_order,
    ),
    right(
        "one-product-for-both",
        "[h, x] is multiplied by both matrices at once",
        input_products=lambda _, p, x: x,
        gate_sums=both_products,
    ),
    right("bias-first", "b_hh is added to U h, b_ih to W x", bias=input_bias, gate_sums=with_recurrent_bias),
    right(
        "rows-padded",
        "the left operand of each product has its rows filled up to a multiple of 8 with zeros",
        product=lambda _, a, b: np.matmul(np.pad(a, ((0, -len(a) % 8), (0, 0))), b)[: len(a)],
    ),
    right("last-results-kept", "copies of the last eight results are kept, and no more", returned=last_results_kept),
    right(
        "float64-inside",
        "everything is computed in float64 and stored in the precision's dtype",
        arithmetic=lambda _: np.dtype(np.float64),
    ),
    right(
        "tanh-from-sigmoid",
        "tanh z is 2 sigmoid(2 z) - 1, which doubles the error of the sigmoid",
        tanh=lambda _, z: 2 * sigmoid(2 * z) - 1,
    ),
    right("sigmoid-from-tanh", "sigmoid z is (1 + tanh(z / 2)) / 2", sigmoid=lambda _, z: (1 + np.tanh(z / 2)) / 2),
    right(
        "rounded-gates",
        "products, sums and gates are rounded to 16 bits",
        HALVES,
        input_products=lambda lstm, p, x: lstm.stored(CorrectLSTM.input_products(lstm, p, x)),
        gate_sums=lambda lstm, p, wx, h: lstm.stored(lstm.stored(lstm.product(h, p.w_hh)) + wx),
        sigmoid=lambda lstm, z: lstm.stored(sigmoid(z)),
        tanh=lambda lstm, z: lstm.stored(np.tanh(z)),
    ),
    right(
        "rounded-cell",
        "c is kept in 16 bits between the steps",
        HALVES,
        cell=lambda lstm, i, f, g, c: lstm.stored(f * c + i * g),
    ),
    right(
        "activations-at-the-edge",
        "sigmoid and tanh err by 3.5 units up or down, by the value; never by more than 4 after rounding",
        BELOW_FLOAT64,
        sigmoid=lambda lstm, z: at_the_edge(lstm, sigmoid(z.astype(np.float64))),
        tanh=lambda lstm, z: at_the_edge(lstm, np.tanh(z.astype(np.float64))),
    ),
    right(
        "fast-activations",
        "both activations come from a Taylor polynomial of degree 5; 64 units are promised, half are needed",
        BELOW_FLOAT64 | {"activation_ulps": 64},
        sigmoid=lambda _, z: fast_sigmoid(z),
        tanh=lambda _, z: 2 * fast_sigmoid(2 * z) - 1,
    ),
    right("tf32-rounded", "operands of products are rounded to TF32, as promised", TF32, operand=lambda _, a: tf32_rounded(a)),
    right(
        "tf32-truncated",
        "operands of products are cut to TF32, as tensor cores cut raw float32",
        TF32,
        operand=lambda _, a: tf32_truncated(a),
    ),
)
