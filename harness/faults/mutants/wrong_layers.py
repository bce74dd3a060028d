"""Wrong stacks: a layer reads the wrong thing, or takes weights or states of another."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed
from .subject import Subject

DEEP: dict[str, Any] = {"num_layers": 3}
DEEP_BOTH: dict[str, Any] = {"num_layers": 3, "bidirectional": True}


@wrong("layers", **DEEP)
class SecondLayerReadsX(Subject):
    """Upper layers read x, cut or repeated to their width, instead of the layer below."""

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        y = super().next_input(layer, outputs, x)
        return y if layer == self.spec.num_layers - 1 else x[:, :, np.arange(y.shape[2]) % x.shape[2]]


@wrong("layers", **DEEP)
class UpperStateFromFirst(Subject):
    """Upper layers start from the first layer's initial state."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        return super().initial_state(state, 0, direction)


@wrong("layers", **DEEP)
class UpperStateZero(Subject):
    """Upper layers start from 0."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return (np.zeros_like(h), np.zeros_like(c)) if layer else (h, c)


@wrong("layers", **DEEP_BOTH)
class StatesDirectionFirst(Subject):
    """States are indexed direction * L + layer."""

    def state_index(self, layer: int, direction: int) -> int:
        return direction * self.spec.num_layers + layer


class _LastChanged(Subject):
    """Other final states."""

    def changed(self, last: LSTMState) -> None:
        """Change the final states in place."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        self.changed(last)
        return super().returned(y, last)


@wrong("layers", **DEEP)
class FinalStatesTopFirst(_LastChanged):
    """Final states are returned from the top layer to the bottom."""

    def changed(self, last: LSTMState) -> None:
        last.h[:], last.c[:] = last.h[::-1].copy(), last.c[::-1].copy()


class _FromSecond(Subject):
    """Layers from the third on take weights from the second."""

    taken: tuple[str, ...] = ()
    source = 1

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        for layer in self.layers[self.source + 1 :]:
            for d, p in enumerate(layer):
                for name in self.taken:
                    setattr(p, name, getattr(self.layers[self.source][d], name))


@wrong("layers", **DEEP)
class ThirdLayerUsesSecondsWeights(_FromSecond):
    """Layers from the third on use the second one's weights."""

    taken = ("w_ih", "w_hh", "bias")


@wrong("layers", **DEEP)
class UpperRecurrenceFromFirst(_FromSecond):
    """Upper layers use the first one's U."""

    taken, source = ("w_hh",), 0


@wrong("layers", **DEEP)
class UpperLayersWithoutBias(Subject):
    """Upper layers leave their biases out."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p = super().pack(w, layer, direction)
        if layer:
            p.bias = None
        return p


@wrong("layers", **DEEP)
class LayersOneStepApart(Subject):
    """A layer reads what the one below gave a step before, as in a pipeline not waited for."""

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        y = super().next_input(layer, outputs, x)
        return y if layer == self.spec.num_layers - 1 else np.concatenate([np.zeros_like(y[:1]), y[:-1]])


@wrong("layers", **DEEP_BOTH)
class UpperLayersReadForwardOnly(Subject):
    """Upper layers read zeros for the reverse half."""

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        last = layer == self.spec.num_layers - 1
        return super().next_input(layer, outputs if last else [outputs[0], *map(np.zeros_like, outputs[1:])], x)


@wrong("layers", **DEEP_BOTH)
class UpperLayersReadReverseFirst(Subject):
    """Upper layers read reverse | forward."""

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        return super().next_input(layer, outputs if layer == self.spec.num_layers - 1 else outputs[::-1], x)


@wrong("layers", **DEEP)
class Residual(Subject):
    """Upper layers add what they read to what they give."""

    below: Array

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        y = super().next_input(layer, outputs, x)
        result = y + self.below if layer else y
        self.below = y
        return result
