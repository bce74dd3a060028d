"""Both directions, layers on top of each other, and hidden units in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState, LSTMWeights
from lstm_parity.backends.numpy_reference import reverse_valid
from lstm_parity.backends.problem import Array

from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ..check import Check
from ..isolation.execute import tensors_of
from ..trial import Tensors, Trial

BOTH_WAYS = ProblemRequirements(bidirectional=True, several_layers=False, training=False)


def _flipped(problem: Problem, x: Array | None = None) -> Problem:
    """The problem with every row's valid steps in reverse order."""
    return problem.with_inputs(x=reverse_valid(problem.inputs.x if x is None else x, problem.inputs.lengths))


def _reverse(trial: Trial) -> None:
    problem = trial.problem()
    r, lengths, state = problem.spec.state_size, problem.inputs.lengths, problem.inputs.state
    swapped = replace(problem, weights=LSTMWeights((problem.weights.layers[0][::-1],)))
    swapped = _flipped(swapped).with_inputs(state=LSTMState(state.h[::-1], state.c[::-1]))
    straight, other = trial.run(problem), trial.run(swapped)
    y = np.concatenate([other.y[..., r:], other.y[..., :r]], axis=2)
    back = {"y": reverse_valid(y, lengths), "h_n": other.h_n[::-1], "c_n": other.c_n[::-1]}
    trial.same(problem, tensors_of(straight), back, "the run with both directions swapped and time reversed")


def _halves(trial: Trial) -> None:
    problem = trial.problem()
    lengths = problem.inputs.lengths
    both = trial.run(problem)
    ahead, back = trial.run(problem.one_direction(0)), trial.run(_flipped(problem.one_direction(1)))
    apart = {
        "y": np.concatenate([ahead.y, reverse_valid(back.y, lengths)], axis=2),
        "h_n": np.concatenate([ahead.h_n, back.h_n]),
        "c_n": np.concatenate([ahead.c_n, back.c_n]),
    }
    trial.same(problem, tensors_of(both), apart, "the two directions run alone")


def _chained(trial: Trial) -> None:
    problem = trial.problem()
    whole, x = trial.run(problem), problem.inputs.x
    h_n, c_n = [], []
    for layer in range(problem.spec.num_layers):
        one = trial.run(problem.one_layer(layer, x))
        x = one.y
        h_n.append(one.h_n)
        c_n.append(one.c_n)
    chained = {"y": x, "h_n": np.concatenate(h_n), "c_n": np.concatenate(c_n)}
    trial.same(problem, tensors_of(whole), chained, "its layers run one after the other")


def _units(trial: Trial) -> None:
    problem = trial.problem()
    spec = problem.spec
    rng = np.random.default_rng(problem.steps)
    orders = [[rng.permutation(spec.hidden_size) for _ in range(spec.num_directions)] for _ in range(spec.num_layers)]
    if spec.hidden_size == 2:
        orders = [[np.array([1, 0]) for _ in layer] for layer in orders]
    change = _Permutation(problem, orders)
    straight, other = tensors_of(trial.run(problem)), tensors_of(trial.run(change.problem()))
    trial.same(change.problem(), other, change.tensors(straight), "the run with the units in their first order")


class _Permutation:
    """Hidden units in another order, orders[l][d] [H], in everything that has them."""

    def __init__(self, problem: Problem, orders: list[list[Array]]) -> None:
        self._problem, self._spec, self._orders = problem, problem.spec, orders

    def problem(self) -> Problem:
        """The same problem with its units in that order."""
        i = self._problem.inputs

        def state(whole: LSTMState | None) -> LSTMState | None:
            return None if whole is None else LSTMState(self._states(whole.h, h=True), self._states(whole.c, h=False))

        changed = self._problem.with_inputs(
            state=state(i.state),
            grad_y=None if i.grad_y is None else self._outputs(i.grad_y),
            grad_state=state(i.grad_state),
        )
        return changed.with_weights(self._weights)

    def tensors(self, found: Tensors) -> Tensors:
        """Results with their units in that order."""
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
        """Where the outputs of a layer come from."""
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


CHECKS = (
    Check("reverse-is-flipped", "the reverse direction is the forward one on flipped input, flipped", _reverse, BOTH_WAYS),
    Check("two-halves", "a bidirectional LSTM is its two directions side by side", _halves, BOTH_WAYS),
    Check(
        "layers-chained",
        "a stack is its layers one after the other",
        _chained,
        ProblemRequirements(several_layers=True, training=False),
    ),
    Check(
        "units-permuted",
        "permuting the hidden units in every weight permutes the result",
        _units,
        ProblemRequirements(min_hidden=2),
    ),
)
