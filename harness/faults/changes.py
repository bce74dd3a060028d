"""Parts of which the table's faults are made: what changes weights, states, halves of y, gradients; each gives a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMGradients, LSTMWeights
from lstm_parity.backends.problem import Array

from .lstm_parts import Layers

Method = Callable[..., Any]
PACKED = ("w_ih", "w_hh", "b_ih", "b_hh")
"""Weights with a block of H rows for each gate."""


def each_direction(
    change: Callable[[DirectionWeights], DirectionWeights], directions: tuple[int, ...] = (0, 1), lowest: int = 0
) -> Method:
    """weights_used: change(weights) of these directions, in the layers from `lowest` on."""

    def weights_used(lstm: Any, layers: Layers) -> Layers:
        return [
            [change(w) if d in directions and l >= lowest else w for d, w in enumerate(layer)] for l, layer in enumerate(layers)
        ]

    return weights_used


def each_array(change: Callable[[Array], Array], *names: str, **where: Any) -> Method:
    """weights_used: change(array) of the weights of these names. where: as each_direction takes it."""
    return each_direction(lambda w: replace(w, **{n: change(a) for n, a in w.items() if n in names}), **where)


def from_layer(source: int, *names: str) -> Method:
    """weights_used: the layers above layer `source` have its weights of these names; () for all."""

    def weights_used(lstm: Any, layers: Layers) -> Layers:
        return [
            *layers[: source + 1],
            *([_taken(layers[source], w, d, names) for d, w in enumerate(l)] for l in layers[source + 1 :]),
        ]

    return weights_used


def from_forward(*names: str) -> Method:
    """weights_used: the reverse direction has the forward one's weights of these names; () for all."""
    return lambda lstm, layers: [[_taken(layer, w, 0, names) for w in layer] for layer in layers]


def _taken(given: list[DirectionWeights], w: DirectionWeights, direction: int, names: tuple[str, ...]) -> DirectionWeights:
    return replace(w, **{n: getattr(given[direction], n) for n, _ in w.items() if n in names or not names})


def blocks(array: Array, order: tuple[int, ...]) -> Array:
    """The four gates' blocks of rows, taken in this order."""
    return np.concatenate([np.split(array, 4)[k] for k in order])


def transposed(array: Array) -> Array:
    """Each gate's block [n, n] transposed; as it is where the blocks are not square."""
    parts = np.split(array, 4)
    return np.concatenate([part.T for part in parts]) if parts[0].shape[0] == parts[0].shape[1] else array


def reread(array: Array) -> Array:
    """The memory of a matrix [m, n] read as [n, m], and transposed."""
    return np.ascontiguousarray(array).reshape(array.shape[::-1]).T


def times(factor: float) -> Callable[[Array], Array]:
    """The array times a factor; what is not finite becomes 0 with the factor 0."""
    return lambda a: a * a.dtype.type(factor) if factor else np.zeros_like(a)


def batch_first(x: Array) -> Array:
    """The memory of x [T, B, n] read as [B, T, n]."""
    return np.ascontiguousarray(x).reshape(x.shape[1], x.shape[0], -1).swapaxes(0, 1)


def written_batch_first(y: Array) -> Array:
    """y written as [B, T, n] and read as [T, B, n]."""
    return np.ascontiguousarray(y.swapaxes(0, 1)).reshape(y.shape)


def halves(change: Callable[[Array, Array], list[Array]]) -> Callable[[Array], Array]:
    """What changes the directions' halves of the last axis."""
    return lambda y: np.concatenate(change(*np.split(y, 2, axis=2)), axis=2)


def pairs_swapped(state: Array) -> Array:
    """A state [2 L, B, n] with both directions of each layer swapped."""
    return state.reshape(-1, 2, *state.shape[1:])[:, ::-1].reshape(state.shape)


def as_if_contiguous(array: Array) -> Array:
    """What is in memory from the array's first element on, in its shape, as if it were contiguous; never past what it views."""
    if array.flags.c_contiguous:
        return array
    owner = array
    while isinstance(owner.base, np.ndarray) and owner.base.dtype == array.dtype:
        owner = owner.base
    memory = owner.ravel("K")
    first = (array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]) // array.itemsize
    return np.resize(memory[max(first, 0) :], array.shape)


WEIGHTS = ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "peephole")
GRADIENTS = ("x", "h0", "c0", *WEIGHTS)


def gradients_of(names: tuple[str, ...], change: Callable[[Any, Array], Array]) -> Method:
    """gradients_returned: change(lstm, gradient) of the tensors of these names, out of GRADIENTS."""

    def gradients_returned(lstm: Any, g: LSTMGradients) -> LSTMGradients:
        given = {n: change(lstm, getattr(g, n)) for n in ("x", "h0", "c0") if n in names}
        of_weights = tuple(
            tuple(replace(w, **{n: change(lstm, a) for n, a in w.items() if n in names}) for w in layer)
            for layer in g.weights.layers
        )
        return replace(g, weights=LSTMWeights(of_weights), **given)

    return gradients_returned
