"""Gates that are swapped, in another project's order, without or with too much bias, or with the wrong sign."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

from ..changes import PACKED, blocks, each_array, each_direction
from ..fault import SIXTEEN, Fault, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Step

gates = partial(fault, "gates")
GATES = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}
KNOWN_ORDERS = {
    "iofg": "ONNX's",
    "igfo": "that of JAX Haiku and TensorFlow 1",
    "gifo": "the lecture's c, u, f, o",
    "figo": "that in which many texts introduce them",
}


def swapped(j: int, k: int) -> tuple[int, ...]:
    """0, 1, 2, 3 with two of them swapped."""
    order = [*range(4)]
    order[j], order[k] = k, j
    return tuple(order)


def swaps() -> list[Fault]:
    """Two gates swapped in all weights."""
    return [
        gates(
            f"{GATES[j]}-and-{GATES[k]}-swapped",
            f"gates {j} and {k} are swapped",
            weights_used=each_array(partial(blocks, order=swapped("ifgo".index(j), "ifgo".index(k))), *PACKED),
            also=SIXTEEN,
        )
        for j, k in combinations("ifgo", 2)
    ]


def orders() -> list[Fault]:
    """The orders that no swap of two gates gives, those in use first."""
    found = []
    for packed in sorted(map("".join, permutations("ifgo")), key=lambda packed: packed not in KNOWN_ORDERS):
        if sum(a != b for a, b in zip(packed, "ifgo", strict=True)) > 2:
            order = tuple(packed.index(gate) for gate in "ifgo")
            known = f", {KNOWN_ORDERS[packed]}" if packed in KNOWN_ORDERS else ""
            found.append(
                gates(
                    "onnx-gate-order" if packed == "iofg" else f"gates-read-as-{packed}",
                    f"the packed gates are read in the order {', '.join(packed)}{known}",
                    weights_used=each_array(partial(blocks, order=order), *PACKED),
                )
            )
    return found


def partial_swaps() -> list[Fault]:
    """Two gates swapped in some of the weights."""
    found = []
    parts = (("U", "recurrent", ("w_hh",)), ("W", "input", ("w_ih",)), ("the biases", "bias", ("b_ih", "b_hh")))
    for (j, k), (where, part, names) in product(combinations("ifgo", 2), parts):
        name = "recurrent-gates-swapped" if (j, k, where) == ("i", "f", "U") else f"{part}-{GATES[j]}-and-{GATES[k]}-swapped"
        order = swapped("ifgo".index(j), "ifgo".index(k))
        change = each_array(partial(blocks, order=order), *names)
        found.append(gates(name, f"gates {j} and {k} are swapped in {where} alone", weights_used=change))
    return found


def biases(name: str, sentence: str, b_ih: float, b_hh: float, after: str = "") -> Fault:
    """The biases with a factor each."""

    def bias(lstm: Any, w: DirectionWeights) -> Array | None:
        return None if w.b_ih is None or w.b_hh is None else np.asarray(b_ih * w.b_ih + b_hh * w.b_hh)

    return gates(name, sentence, bias=bias, after=after)


def to_forget_bias(value: float, units: int | None) -> Any:
    """bias: with this value added to the forget gate's, of the first `units` units."""

    def bias(lstm: Any, w: DirectionWeights) -> Array | None:
        b = CorrectLSTM.bias(lstm, w)
        if b is not None:
            b[lstm.spec.hidden_size :][: units or lstm.spec.hidden_size] += value
        return b

    return bias


def input_bias_for_three(w: DirectionWeights) -> DirectionWeights:
    """The input gate's biases for f and o, too."""
    return replace(w, **{n: blocks(a, (0, 0, 2, 0)) for n, a in w.items() if n in ("b_ih", "b_hh")})


def assumed_bias(lstm: Any, w: DirectionWeights) -> Array | None:
    """A small constant where there is no bias."""
    b = CorrectLSTM.bias(lstm, w)
    return np.full(4 * lstm.spec.hidden_size, 0.01, lstm.compute) if b is None else b


def first_unit_by_input_gate(lstm: Any, t: int, s: Step) -> None:
    """The first unit's output gated by i."""
    s.h[:, 0] = s.gates[:, 0] * s.tanh_c[:, 0]


FAULTS = (
    *swaps(),
    *orders(),
    *partial_swaps(),
    biases("input-bias-missing", "b_ih is ignored", 0, 1),
    biases("recurrent-bias-missing", "b_hh is ignored", 1, 0, after="intel/torch-xpu-ops 3770"),
    biases("biases-missing", "both biases are ignored", 0, 0),
    biases("biases-added-twice", "both biases are added twice", 2, 2),
    biases("input-bias-added-twice", "b_ih is added twice", 2, 1),
    biases("recurrent-bias-added-twice", "b_hh is added twice", 1, 2),
    biases("input-bias-twice", "b_ih is added twice and b_hh is ignored", 2, 0),
    biases("recurrent-bias-twice", "b_hh is added twice and b_ih is ignored", 0, 2),
    biases("recurrent-bias-subtracted", "b_hh is subtracted", 1, -1),
    gates(
        "one-bias-for-three-gates",
        "the input gate's bias is used for the forget and the output gate, too",
        weights_used=each_direction(input_bias_for_three),
        after="ddbourgin/numpy-ml 42",
    ),
    gates("forget-bias-one", "1 is added to the forget gate's bias", bias=to_forget_bias(1, None)),
    gates("forget-bias-slightly-off", "the bias of the first unit's forget gate is off by 1e-5", bias=to_forget_bias(1e-5, 1)),
    gates(
        "bias-assumed",
        "a small constant is added where there is no bias, as if that of an earlier use were left",
        needs={"no_bias": True},
        bias=assumed_bias,
    ),
    gates("output-gate-missing", "the output gate is missing: h = tanh(c)", output=lambda _, o, tanh_c, c: tanh_c),
    gates("output-gate-by-tanh", "the output gate goes through a tanh", output_gate=lambda _, z: np.tanh(z)),
    gates("forget-gate-inverted", "the forget gate is 1 - f", cell=lambda _, i, f, g, c: (1 - f) * c + i * g),
    gates("coupled-gates", "the input gate is 1 - f", cell=lambda _, i, f, g, c: f * c + (1 - f) * g),
    gates("forget-gate-coupled", "the forget gate is 1 - i", cell=lambda _, i, f, g, c: (1 - i) * c + i * g),
    gates("input-gate-missing", "the input gate is missing: c = f * c' + g", cell=lambda _, i, f, g, c: f * c + g),
    gates(
        "forget-gate-missing",
        "the forget gate is missing, as in the LSTM of 1997: c = c' + i * g",
        cell=lambda _, i, f, g, c: c + i * g,
    ),
    gates("forget-gate-on-candidate", "the forget gate acts on the candidate, too", cell=lambda _, i, f, g, c: f * (c + i * g)),
    gates("candidate-negated", "the candidate is subtracted", cell=lambda _, i, f, g, c: f * c - i * g),
    gates("output-gated-by-input", "the first unit's output is gated by i", after_step=first_unit_by_input_gate),
)
