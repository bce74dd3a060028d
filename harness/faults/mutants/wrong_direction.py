"""Wrong directions: the reverse one reads, starts or ends in the wrong place, or takes what is the forward one's."""

from __future__ import annotations

from typing import Any

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed
from .subject import Subject

BOTH: dict[str, Any] = {"bidirectional": True}
BOTH_RAGGED: dict[str, Any] = {"bidirectional": True, "lengths": True}


@wrong("direction", **BOTH)
class ReverseReadsForward(Subject):
    """The reverse direction reads the sequence from its beginning."""

    def turned(self, x: Array, lengths: Array | None) -> Array:
        return x


@wrong("direction", **BOTH)
class ReverseNotTurnedBack(Subject):
    """The reverse direction's y stays in the order in which it was computed."""

    def turned_back(self, y: Array, lengths: Array | None) -> Array:
        return y


@wrong("direction", **BOTH_RAGGED, after="onnxruntime 4187")
class ReverseStartsInThePadding(Subject):
    """The reverse direction turns the whole sequence round, so that short rows are cut off at their beginning."""

    def turned(self, x: Array, lengths: Array | None) -> Array:
        return x[::-1]


@wrong("direction", **BOTH_RAGGED)
class ReverseRunsThroughThePadding(Subject):
    """The reverse direction starts at T and reads zeros until it meets a row's last step."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Any]:
        if p.direction == 0 or mask is None:
            return super().run_direction(p, x, h, c, mask, training)
        lengths = mask.sum(0)
        y, h_n, c_n, run = super().run_direction(p, super().turned(x, lengths)[::-1], h, c, None, training)
        return super().turned(y[::-1], lengths) * mask[:, :, None], h_n, c_n, run


@wrong("direction", **BOTH, after="pytorch 94754, 95118")
class ReverseStateFromForward(Subject):
    """The reverse direction starts from the forward one's initial state."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        return super().initial_state(state, layer, 0)


@wrong("direction", **BOTH)
class ReverseCellFromForward(Subject):
    """The reverse direction starts from its own h0 and the forward one's c0."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        return super().initial_state(state, layer, direction)[0], super().initial_state(state, layer, 0)[1]


class _FromForward(Subject):
    """The reverse direction takes some weights from the forward one."""

    taken: tuple[str, ...] = ()

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        for layer in self.layers:
            for name in self.taken:
                setattr(layer[-1], name, getattr(layer[0], name))


@wrong("direction", **BOTH)
class ReverseWeightsFromForward(_FromForward):
    """The reverse direction uses the forward one's weights."""

    taken = ("w_ih", "w_hh", "bias")


@wrong("direction", **BOTH)
class ReverseBiasFromForward(_FromForward):
    """The reverse direction uses the forward one's biases."""

    taken = ("bias",)


@wrong("direction", **BOTH)
class ReverseFirst(Subject):
    """y is reverse | forward."""

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        return super().next_input(layer, outputs[::-1], x)


@wrong("direction", **BOTH)
class DirectionsAdded(Subject):
    """Both halves of y hold the mean of the two directions."""

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        return super().next_input(layer, outputs if len(outputs) == 1 else [(outputs[0] + outputs[1]) / 2] * 2, x)


class _LastChanged(Subject):
    """Other final states."""

    def changed(self, y: Array, last: LSTMState) -> None:
        """Change the final states in place."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        self.changed(y, last)
        return y, last


@wrong("direction", **BOTH)
class ReverseFinalAtTheEnd(_LastChanged):
    """The reverse direction's h_n is its y at the last step instead of the first."""

    def changed(self, y: Array, last: LSTMState) -> None:
        if len(last.h) == 2:
            last.h[1] = y[-1, :, last.h.shape[2] :]


@wrong("direction", **BOTH)
class DirectionsFinalSwapped(_LastChanged):
    """The directions' final cells are swapped."""

    def changed(self, y: Array, last: LSTMState) -> None:
        last.c[:] = last.c[::-1].copy()


@wrong("direction", **BOTH)
class ReverseContinuesForward(Subject):
    """The reverse direction starts from the forward one's final cell."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        self.carried = c
        return y, h, c

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return h, self.carried if direction else c
