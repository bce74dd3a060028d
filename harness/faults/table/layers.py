"""Stacks in which a layer reads the wrong thing, or takes weights or states of another."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..changes import each_array, from_layer, times
from ..fault import DEEP, DEEP_BIDIRECTIONAL, Fault, fault
from ..lstm import CorrectLSTM

layers = partial(fault, "layers", needs=DEEP)
both_ways = partial(fault, "layers", needs=DEEP_BIDIRECTIONAL)


def reads(name: str, sentence: str, change: Any, *, declare: Any = layers) -> Fault:
    """What upper layers read: change(the outputs of the layer below, by direction, the first layer's input)."""

    def next_input(lstm: Any, layer: int, outputs: list[Array], x: Array) -> Array:
        right = partial(CorrectLSTM.next_input, lstm, layer)
        return right(outputs if layer == lstm.spec.num_layers - 1 else change(outputs, x), x)

    found: Fault = declare(name, sentence, next_input=next_input)
    return found


def x_repeated(outputs: list[Array], x: Array) -> list[Array]:
    """x, cut or repeated to the width of the outputs."""
    width = sum(y.shape[2] for y in outputs)
    return [x[:, :, np.arange(width) % x.shape[2]]]


def reordered(index: Any, given: bool = True, back: bool = False) -> dict[str, Any]:
    """Initial states, or final ones, in another order: index(L, D) [L * D]. Both in the same, if both."""

    def taken(lstm: Any, h: Array, c: Array) -> tuple[Array, Array]:
        order = index(lstm.spec.num_layers, lstm.spec.num_directions)
        return h[order], c[order]

    found: dict[str, Any] = {"states_used": taken} if given else {}
    return found | ({"returned": lambda lstm, y, h, c: (y, *taken(lstm, h, c))} if back else {})


def every_layer(layer: int, h: bool) -> Any:
    """returned: the final h or c of one layer for all; -1 for the top."""

    def returned(lstm: Any, y: Array, h_n: Array, c_n: Array) -> tuple[Array, Array, Array]:
        number, width = lstm.spec.num_layers, lstm.spec.num_directions
        order = np.tile(np.arange(width) + range(number)[layer] * width, number)
        return (y, h_n[order], c_n) if h else (y, h_n, c_n[order])

    return returned


def upper_zero(lstm: Any, h: Array, c: Array) -> tuple[Array, Array]:
    """Initial states with zeros for all layers but the first."""
    h, c = h.copy(), c.copy()
    h[lstm.spec.num_directions :] = c[lstm.spec.num_directions :] = 0
    return h, c


class Residual(CorrectLSTM):
    """Upper layers add what they read to what they give."""

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        y = super().next_input(layer, outputs, x)
        result = y + self.kept["below"] if layer else y
        self.kept["below"] = y
        return result


FAULTS = (
    reads("second-layer-reads-x", "upper layers read x instead of the layer below", x_repeated),
    layers(
        "upper-state-from-first",
        "upper layers start from the first layer's state",
        **reordered(lambda L, D: np.arange(L * D) % D),
    ),
    layers(
        "states-top-first",
        "the initial states of the layers are in reverse order",
        **reordered(lambda L, D: np.arange(L * D).reshape(L, D)[::-1].ravel()),
    ),
    both_ways(
        "initial-states-direction-first",
        "initial states are indexed direction * L + layer",
        **reordered(lambda L, D: np.arange(L * D).reshape(D, L).T.ravel()),
    ),
    both_ways(
        "states-direction-first",
        "states are indexed direction * L + layer, those given and those returned",
        state_index=lambda lstm, layer, direction: direction * lstm.spec.num_layers + layer,
    ),
    layers("upper-state-zero", "upper layers start from 0", states_used=upper_zero),
    layers("upper-recurrence-from-first", "upper layers use the first one's U", weights_used=from_layer(0, "w_hh")),
    layers("upper-bias-from-first", "upper layers use the first one's biases", weights_used=from_layer(0, "b_ih", "b_hh")),
    layers(
        "third-layer-uses-seconds-weights", "layers from the third on use the second one's weights", weights_used=from_layer(1)
    ),
    layers(
        "upper-layers-without-bias",
        "upper layers ignore their biases",
        weights_used=each_array(times(0), "b_ih", "b_hh", lowest=1),
    ),
    reads(
        "squashed-between-layers", "upper layers read tanh(y) of the layer below", lambda outputs, x: [*map(np.tanh, outputs)]
    ),
    reads(
        "layers-one-step-apart",
        "a layer reads what the one below gave a step before",
        lambda outputs, x: [np.concatenate([np.zeros_like(y[:1]), y[:-1]]) for y in outputs],
    ),
    layers("top-hidden-for-all", "h_n of the top layer is returned for all", returned=every_layer(-1, True)),
    layers("top-cell-for-all", "c_n of the top layer is returned for all", returned=every_layer(-1, False)),
    layers("first-hidden-for-all", "h_n of the first layer is returned for all", returned=every_layer(0, True)),
    layers("first-cell-for-all", "c_n of the first layer is returned for all", returned=every_layer(0, False)),
    layers(
        "final-states-top-first",
        "final states are returned from the top layer to the bottom",
        **reordered(lambda L, D: np.arange(L * D).reshape(L, D)[::-1].ravel(), given=False, back=True),
    ),
    reads(
        "upper-layers-read-reverse-first",
        "upper layers read reverse | forward",
        lambda outputs, x: outputs[::-1],
        declare=both_ways,
    ),
    reads(
        "upper-layers-read-forward-only",
        "upper layers read 0 for the reverse half",
        lambda outputs, x: [outputs[0], *map(np.zeros_like, outputs[1:])],
        declare=both_ways,
    ),
    layers("residual", "upper layers add what they read to what they give", base=Residual),
)
