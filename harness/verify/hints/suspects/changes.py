"""Parts that suspects are made of: what changes a problem's weights, state or x, and what changes a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.problem import Array

from ....problems.problem import Problem
from ..variation import Tensors

Change = Callable[[DirectionWeights], DirectionWeights | None]
"""A direction's weights changed; None where that makes no sense."""


def all_weights(
    change: Change, directions: tuple[int, ...] = (0, 1), upper: bool = False
) -> Callable[[Problem], Problem | None]:
    """The problem with change(weights) in those directions, of the upper layers alone or of all."""

    def changed(problem: Problem) -> Problem | None:
        refused = False

        def one(w: DirectionWeights, l: int, d: int) -> DirectionWeights:
            nonlocal refused
            if d not in directions or (upper and l == 0):
                return w
            found = change(w)
            refused |= found is None
            return found or w

        made = problem.with_weights(one)
        return None if refused else made

    return changed


def with_state(change: Callable[[Array, Array], tuple[Array, Array] | None]) -> Callable[[Problem], Problem | None]:
    """The problem with change(h0, c0) for its initial state."""

    def changed(p: Problem) -> Problem | None:
        found = change(p.inputs.state.h, p.inputs.state.c)
        return None if found is None else p.with_inputs(state=LSTMState(*found))

    return changed


def with_x(change: Callable[[Array], Array]) -> Callable[[Problem], Problem]:
    """The problem with change(x) for its x."""

    return lambda p: p.with_inputs(x=change(p.inputs.x))


def with_y(change: Callable[[Array], Array]) -> Callable[[Problem, Tensors], Tensors]:
    """The results with change(y) for their y."""

    return lambda p, t: t | {"y": change(t["y"])}


def no_bias(w: DirectionWeights) -> DirectionWeights | None:
    """The weights with biases of 0."""
    return None if w.b_ih is None or w.b_hh is None else replace(w, b_ih=w.b_ih * 0, b_hh=w.b_hh * 0)
