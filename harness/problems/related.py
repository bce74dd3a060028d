"""Problems derived from another one, and how the results of both are related."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.numpy_reference import reverse_valid
from lstm_parity.backends.problem import Array

from .problem import Problem
from .regimes import draw_problem


def other_values(problem: Problem, *, training: bool | None = None) -> Problem:
    """Other weights and inputs for the same spec, sizes and lengths; training: instead of the problem's own."""
    training = problem.training if training is None else training
    lengths = problem.inputs.lengths
    return draw_problem(problem.spec, problem.steps, problem.batch, 1, lengths=lengths, training=training)


def other_inputs(problem: Problem) -> Problem:
    """Other inputs, and other lengths, for the same spec, weights and sizes."""
    lengths = None
    if problem.inputs.lengths is not None:
        lengths = np.maximum(problem.lengths - 1, problem.lengths.min())[::-1].copy()
    return replace(other_values(problem.with_inputs(lengths=lengths)), weights=problem.weights)


def flipped(problem: Problem) -> Problem:
    """Every row's valid steps in reverse order."""
    return problem.with_inputs(x=reverse_valid(problem.inputs.x, problem.inputs.lengths))


def split_gradients(problem: Problem, share: float) -> tuple[Problem, Problem]:
    """The problem with about this share of the elements of grad_y and grad_state, and with the other elements; 0 elsewhere."""
    i = problem.inputs
    assert i.grad_y is not None
    assert i.grad_state is not None
    rng = np.random.default_rng(problem.steps)
    arrays = (i.grad_y, i.grad_state.h, i.grad_state.c)
    masks = [rng.random(array.shape) < share for array in arrays]

    def kept(masks: list[Array]) -> Problem:
        y, h, c = (np.where(mask, array, np.zeros((), array.dtype)) for mask, array in zip(masks, arrays, strict=True))
        return problem.with_inputs(grad_y=y, grad_state=LSTMState(h, c))

    return kept(masks), kept([~mask for mask in masks])


class UnitPermutation:
    """A permutation of a problem's hidden units, drawn from a fixed seed, and its effect on weights, inputs and results."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._spec = problem, problem.spec
        rng, spec = np.random.default_rng(problem.steps), problem.spec
        orders = [[rng.permutation(spec.hidden_size) for _ in range(spec.num_directions)] for _ in range(spec.num_layers)]
        if spec.hidden_size == 2:  # half of the drawn permutations would be the identity
            orders = [[np.array([1, 0]) for _ in layer] for layer in orders]
        self._orders = orders

    def problem(self) -> Problem:
        """The problem with its units permuted."""
        i = self._problem.inputs

        def state(whole: LSTMState | None) -> LSTMState | None:
            return None if whole is None else LSTMState(self._states(whole.h, h=True), self._states(whole.c, h=False))

        changed = self._problem.with_inputs(
            state=state(i.state),
            grad_y=None if i.grad_y is None else self._outputs(i.grad_y),
            grad_state=state(i.grad_state),
        )
        return changed.with_weights(self._weights)

    def tensors(self, found: Mapping[str, Array]) -> dict[str, Array]:
        """Results, by name, with their units permuted."""
        tensors = dict(found)
        tensors["y"] = self._outputs(found["y"])
        for name in ("h_n", "gradient of h0"):
            if name in tensors:
                tensors[name] = self._states(found[name], h=True)
        for name in ("c_n", "gradient of c0"):
            if name in tensors:
                tensors[name] = self._states(found[name], h=False)
        for l in range(self._spec.num_layers):
            for d in range(self._spec.num_directions):
                path = f"gradient of layers[{l}][{d}]."
                given = {n.removeprefix(path): a for n, a in found.items() if n.startswith(path)}
                if given:
                    tensors |= {path + n: a for n, a in self._weights(DirectionWeights(**given), l, d).items()}
        return tensors

    def _states(self, array: Array, *, h: bool) -> Array:
        if h and self._spec.proj_size:
            return array
        orders = [order for layer in self._orders for order in layer]
        return np.stack([a[:, order] for a, order in zip(array, orders, strict=True)])

    def _outputs(self, y: Array) -> Array:
        return y[..., self._columns(self._spec.num_layers - 1)]

    def _columns(self, layer: int) -> Array:
        """The order of the outputs of a layer."""
        r = self._spec.state_size
        if self._spec.proj_size:
            return np.arange(self._spec.output_size)
        return np.concatenate([d * r + order for d, order in enumerate(self._orders[layer])])

    def _weights(self, w: DirectionWeights, l: int, d: int) -> DirectionWeights:
        order, hidden = self._orders[l][d], self._spec.hidden_size
        rows = np.concatenate([k * hidden + order for k in range(4)])
        columns = np.arange(self._spec.input_size) if l == 0 else self._columns(l - 1)
        recurrent = np.arange(self._spec.proj_size) if self._spec.proj_size else order
        pick: dict[str, Callable[[Array], Array]] = {
            "w_ih": lambda a: a[rows][:, columns],
            "w_hh": lambda a: a[rows][:, recurrent],
            "b_ih": lambda a: a[rows],
            "b_hh": lambda a: a[rows],
            "w_hr": lambda a: a[:, order],
            "peephole": lambda a: a[:, order],
        }
        return replace(w, **{name: np.ascontiguousarray(pick[name](a)) for name, a in w.items()})
