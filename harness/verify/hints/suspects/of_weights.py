"""Suspects about the packed weights: order of the gates, biases, layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

from ..variation import Variation
from .changes import Change, all_weights

GATES = "ifgo"
ORDERS = {
    "iofg": "ONNX's",
    "ifog": "CS231n's",
    "igfo": "that of JAX Haiku and TensorFlow 1",
    "gifo": "the lecture's c, u, f, o",
    "figo": "that in which many texts introduce them",
}
"""Orders of packed gates that are in use."""


def blocks(array: Array, order: tuple[int, ...]) -> Array:
    """The four gates' rows taken in this order."""
    return np.concatenate([np.split(array, 4)[k] for k in order])


def _packed(order: tuple[int, ...], names: tuple[str, ...] = ("w_ih", "w_hh", "b_ih", "b_hh")) -> Change:
    return lambda w: replace(w, **{name: blocks(a, order) for name, a in w.items() if name in names})


def gates() -> Iterator[Variation]:
    """About the order of the packed gates."""

    orders = [tuple(p) for p in permutations(range(4)) if p != (0, 1, 2, 3)]
    swaps = [p for p in orders if sum(a == k for k, a in enumerate(p)) == 2]
    for order in swaps:
        one, other = (GATES[k] for k in range(4) if order[k] != k)
        yield Variation(f"gates {one} and {other} are swapped", problem=all_weights(_packed(order)))
    for order in sorted((p for p in orders if p not in swaps), key=lambda p: _name(p) not in ORDERS):
        packed = _name(order)
        known = f", {ORDERS[packed]}" if packed in ORDERS else ""
        yield Variation(
            f"the packed gates are read in the order {', '.join(packed)}{known}", problem=all_weights(_packed(order))
        )
    for order in swaps:
        one, other = (GATES[k] for k in range(4) if order[k] != k)
        for where, names in (("U", ("w_hh",)), ("W", ("w_ih",)), ("the biases", ("b_ih", "b_hh"))):
            yield Variation(f"gates {one} and {other} are swapped in {where} alone", problem=all_weights(_packed(order, names)))


def _name(order: tuple[int, ...]) -> str:
    """The order in which a backend believes the gates to be packed, if it takes rows `order[k]` for gate k."""
    return "".join(GATES[order.index(k)] for k in range(4))


def weights() -> Iterator[Variation]:
    """About biases, and the layout of W and U."""

    def bias(words: str, ih: float, hh: float) -> Variation:
        def change(w: DirectionWeights) -> DirectionWeights | None:
            return None if w.b_ih is None or w.b_hh is None else replace(w, b_ih=w.b_ih * ih, b_hh=w.b_hh * hh)

        return Variation(words, problem=all_weights(change))

    yield bias("b_ih is ignored", 0, 1)
    yield bias("b_hh is ignored", 1, 0)
    yield bias("both biases are ignored", 0, 0)
    yield bias("both biases are added twice", 2, 2)
    yield bias("b_ih is added twice", 2, 1)
    yield bias("b_hh is added twice", 1, 2)
    yield bias("b_ih is added twice and b_hh is ignored", 2, 0)
    yield bias("b_hh is added twice and b_ih is ignored", 0, 2)
    yield bias("b_hh is subtracted", 1, -1)

    def forget_one(w: DirectionWeights) -> DirectionWeights | None:
        if w.b_ih is None:
            return None
        return replace(w, b_ih=w.b_ih + np.repeat([0, 1, 0, 0], len(w.b_ih) // 4).astype(w.b_ih.dtype))

    yield Variation("1 is added to the forget gate's bias", problem=all_weights(forget_one))

    def transposed(name: str) -> Change:
        def change(w: DirectionWeights) -> DirectionWeights | None:
            parts = np.split(getattr(w, name), 4)
            if parts[0].shape[0] != parts[0].shape[1]:
                return None
            return replace(w, **{name: np.concatenate([p.T for p in parts])})

        return change

    def reread(name: str) -> Change:
        return lambda w: replace(w, **{name: getattr(w, name).ravel().reshape(getattr(w, name).shape[::-1]).T})

    def side_by_side(w: DirectionWeights) -> DirectionWeights:
        def change(a: Array) -> Array:
            return a.reshape(len(a) // 4, 4, *a.shape[1:]).swapaxes(0, 1).reshape(a.shape)

        return replace(w, **{n: change(a) for n, a in w.items() if n in ("w_ih", "w_hh", "b_ih", "b_hh")})

    for name, symbol in (("w_hh", "U"), ("w_ih", "W")):
        yield Variation(f"{symbol} of each gate is transposed", problem=all_weights(transposed(name)))
        shape = "[I, 4H]" if symbol == "W" else "[R, 4H]"
        yield Variation(f"the memory of {symbol} is read as {shape}", problem=all_weights(reread(name)))
    yield Variation(
        "the four gates of a unit are taken to lie side by side, [H, 4] instead of [4, H]", problem=all_weights(side_by_side)
    )
    yield Variation("there is no recurrence (U = 0)", problem=all_weights(lambda w: replace(w, w_hh=w.w_hh * 0)))
    yield Variation("x is ignored (W = 0)", problem=all_weights(lambda w: replace(w, w_ih=w.w_ih * 0)))
