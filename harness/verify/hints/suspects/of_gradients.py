"""Suspects about backpropagation, where the forward is right: what goes back otherwise, or comes out otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.numpy_reference import EXACT, Step, Trace, backward, forward
from lstm_parity.backends.problem import Array

from ....oracle.noise import gradient_tensors
from ....problems.problem import Problem
from ..variation import Tensors
from .changes import Change, all_weights
from .of_weights import GATES, blocks


@dataclass(frozen=True)
class BackwardVariation:
    """What backpropagation does otherwise; every field but `words` is right as it stands.

    problem: whose grad_y, grad_state, lengths and weights go back, None where the variation makes no sense. step: what the
    forward, a right one, left of each step. returned: what becomes of the gradients, by name.
    """

    words: str
    problem: Callable[[Problem], Problem | None] = lambda p: p
    step: Callable[[Step, int], Step] = lambda s, t: s
    returned: Callable[[Problem, Tensors], Tensors | None] = lambda p, g: g


RIGHT_BACKWARD = BackwardVariation("nothing is done otherwise")


def vary_backward(problem: Problem, variation: BackwardVariation) -> Tensors | None:
    """Every gradient in float64 by name; None where the variation makes no sense for the problem, or changes nothing."""
    with np.errstate(all="ignore"):
        back = variation.problem(problem)
        if back is None or back.inputs.grad_y is None or back.inputs.grad_state is None:
            return None
        trace, inputs = Trace(), problem.inputs
        forward(problem.spec, problem.weights, inputs.x, inputs.state, inputs.lengths, EXACT, trace)
        trace.lengths = back.inputs.lengths
        trace.steps = [[variation.step(s, t) for t, s in enumerate(steps)] for steps in trace.steps]
        found = backward(problem.spec, back.weights, trace, back.inputs.grad_y, back.inputs.grad_state)
        return variation.returned(problem, gradient_tensors(found))


def gradient_suspects() -> Iterator[BackwardVariation]:
    """What a backward may do otherwise, the likelier first."""
    yield from _given()
    yield from _scaled()
    yield from _paths()
    yield from _rows()
    yield from _moved()


def _given() -> Iterator[BackwardVariation]:
    def state(words: str, h: int, c: int) -> BackwardVariation:
        def changed(p: Problem) -> Problem | None:
            s = p.inputs.grad_state
            return None if s is None else p.with_inputs(grad_state=LSTMState(s.h * h, s.c * c))

        return BackwardVariation(words, problem=changed)

    def outputs(words: str, change: Callable[[Problem, Array], Array | None]) -> BackwardVariation:
        def changed(p: Problem) -> Problem | None:
            found = None if p.inputs.grad_y is None else change(p, np.asarray(p.inputs.grad_y, np.float64))
            return None if found is None else p.with_inputs(grad_y=found)

        return BackwardVariation(words, problem=changed)

    def both_ways(change: Callable[[Array, Array], list[Array]]) -> Callable[[Problem, Array], Array | None]:
        return lambda p, g: np.concatenate(change(*np.split(g, 2, axis=2)), axis=2) if p.spec.bidirectional else None

    yield state("the gradients of h_n and c_n are ignored", 0, 0)
    yield state("the gradient of h_n is ignored", 0, 1)
    yield state("the gradient of c_n is ignored", 1, 0)
    yield outputs("grad_y is ignored", lambda p, g: g * 0)
    yield outputs("grad_y counts at the last step alone", lambda p, g: g * (np.arange(len(g)) == len(g) - 1)[:, None, None])
    yield outputs("grad_y is read backwards in time", lambda p, g: g[::-1])
    yield outputs("the directions' halves of grad_y are swapped", both_ways(lambda a, b: [b, a]))
    yield outputs("the reverse direction gets the forward one's half of grad_y", both_ways(lambda a, b: [a, a]))
    yield BackwardVariation(
        "backpropagation ignores the lengths",
        problem=lambda p: None if p.inputs.lengths is None else p.with_inputs(lengths=None),
    )


def _on(
    names: Callable[[str], bool], change: Callable[[Array, Problem], Array]
) -> Callable[[Problem, Tensors], Tensors | None]:
    """The gradients with those of these names changed; None where there is none."""

    def returned(p: Problem, g: Tensors) -> Tensors | None:
        found = {name: change(a, p) for name, a in g.items() if names(name)}
        return g | found if found else None

    return returned


def _of_weights(name: str) -> bool:
    return "layers" in name


def _scaled() -> Iterator[BackwardVariation]:
    def every(name: str) -> bool:
        return True

    for words, names in (("all gradients are", every), ("the weights' gradients are", _of_weights)):
        yield BackwardVariation(
            f"{words} a mean over the batch instead of a sum", returned=_on(names, lambda a, p: a / p.batch)
        )
        yield BackwardVariation(f"{words} divided by T", returned=_on(names, lambda a, p: a / p.steps))
        yield BackwardVariation(f"{words} divided by T * B", returned=_on(names, lambda a, p: a / (p.steps * p.batch)))
        yield BackwardVariation(f"{words} doubled", returned=_on(names, lambda a, p: a * 2))
        yield BackwardVariation(f"{words} negated", returned=_on(names, lambda a, p: -a))
    for tensor in ("x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "peephole"):

        def named(name: str, tensor: str = tensor) -> bool:
            return name.replace(".", " ").split()[-1] == tensor

        yield BackwardVariation(f"the gradient of {tensor} is 0", returned=_on(named, lambda a, p: a * 0))
        yield BackwardVariation(f"the gradient of {tensor} is doubled", returned=_on(named, lambda a, p: a * 2))
        yield BackwardVariation(
            f"the gradient of {tensor} is clipped to -1..1", returned=_on(named, lambda a, p: np.clip(a, -1, 1))
        )
    yield BackwardVariation(
        "the biases share their gradient, half for each", returned=_on(lambda n: ".b_" in n, lambda a, p: a / 2)
    )


def _paths() -> Iterator[BackwardVariation]:
    def back(words: str, change: Change, directions: tuple[int, ...] = (0, 1), upper: bool = False) -> BackwardVariation:
        return BackwardVariation(words, problem=all_weights(change, directions, upper))

    def without(name: str, rows: slice, parts: int = 4) -> Change:
        def change(w: DirectionWeights) -> DirectionWeights | None:
            a = getattr(w, name)
            if a is None:
                return None
            found = np.array(a).reshape(parts, -1)
            found[rows] = 0
            return replace(w, **{name: found.reshape(a.shape)})

        return change

    yield back("dh does not reach the step before", without("w_hh", slice(None)))
    for k, gate in enumerate(GATES):
        part = slice(k, k + 1)
        yield back(f"dh does not reach the step before through gate {gate}", without("w_hh", part))
        yield back(f"gate {gate} does not count in the gradient of x", without("w_ih", part))
    yield back("the gradient stops below the top layer", without("w_ih", slice(None)), upper=True)
    yield back("the gradient of x lacks the reverse direction's part", without("w_ih", slice(None)), (1,))
    yield back("dc does not go through the peepholes", without("peephole", slice(None), 3))
    yield back("dc does not go through the peepholes of i and f", without("peephole", slice(0, 2), 3))
    yield back("dc does not go through the peephole of o", without("peephole", slice(2, 3), 3))
    yield BackwardVariation("the forget gate's gradient is taken with the new c", step=lambda s, t: replace(s, c_before=s.c))
    yield BackwardVariation(
        "the gradient of U takes h0 as 0", step=lambda s, t: replace(s, h_before=s.h_before * 0) if t == 0 else s
    )


def _rows() -> Iterator[BackwardVariation]:
    def of_rows(part: slice) -> Callable[[Problem, Tensors], Tensors | None]:
        def returned(p: Problem, g: Tensors) -> Tensors | None:
            few = vary_backward(p.take_rows(np.arange(p.batch)[part]), RIGHT_BACKWARD) if p.batch > 1 else None
            return None if few is None else g | {name: a for name, a in few.items() if _of_weights(name)}

        return returned

    yield BackwardVariation("the weights' gradients leave the last row out", returned=of_rows(slice(-1)))
    yield BackwardVariation("the weights' gradients leave the first row out", returned=of_rows(slice(1, None)))
    yield BackwardVariation("the weights' gradients are those of the first row alone", returned=of_rows(slice(1)))
    yield BackwardVariation("the weights' gradients are those of the last row alone", returned=of_rows(slice(-1, None)))


def _moved() -> Iterator[BackwardVariation]:
    def times(name: str) -> bool:
        return name == "gradient of x"

    yield BackwardVariation("the gradient of x is returned backwards in time", returned=_on(times, lambda a, p: a[::-1]))
    for tensors, words in ((("w_ih", "w_hh", "b_ih", "b_hh"), "the weights"), (("w_hh",), "U"), (("w_ih",), "W")):
        for j, k in combinations(range(4), 2):
            order = [*range(4)]
            order[j], order[k] = k, j

            def packed(name: str, tensors: tuple[str, ...] = tensors) -> bool:
                return name.endswith(tensors)

            def swapped(a: Array, p: Problem, order: tuple[int, ...] = tuple(order)) -> Array:
                return blocks(a, order)

            swap = f"gates {GATES[j]} and {GATES[k]} are swapped in the gradient of {words}"
            yield BackwardVariation(swap, returned=_on(packed, swapped))

    def peepholes(a: Array, p: Problem) -> Array:
        return a[[1, 0, 2]]

    yield BackwardVariation(
        "the gradients of the peepholes of i and f are swapped", returned=_on(lambda n: n.endswith("peephole"), peepholes)
    )

    def top_down(p: Problem, g: Tensors) -> Tensors | None:
        if p.spec.num_layers < 2:
            return None
        last = p.spec.num_layers - 1
        found = dict(g)
        for l in range(p.spec.num_layers):
            for name in [n for n in g if f"layers[{l}]" in n]:
                found[name] = g[name.replace(f"layers[{l}]", f"layers[{last - l}]")]
        return found

    yield BackwardVariation("the layers' gradients are returned from the top down", returned=top_down)
