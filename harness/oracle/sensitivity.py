"""Whether an example can show an error in an operand.

An example counts only if the reference's result with x, h0, c0, W, U or b negated would be judged wrong. Otherwise the
example is insensitive to that operand: zero states hide an ignored h0, saturated gates a wrong bias.
"""

from __future__ import annotations

from dataclasses import replace

from lstm_parity.backends import LSTMState
from lstm_parity.backends.numpy_reference import Trace, backward, forward

from ..problems.problem import Problem
from .agreement import Expected
from .results import Results

OPERANDS = ("x", "h0", "c0", "W", "U", "b")
"""As named in the equations; b only where the spec has a bias."""

ROWS, STEPS = 2, 6
"""How many of the longest rows, and of the first steps, are examined."""


def insensitive_to(problem: Problem, operands: tuple[str, ...], activation_ulps: float) -> list[str]:
    """The operands whose negation would not change the judgement of this problem."""
    part = problem.first_rows_and_steps(ROWS, STEPS)
    expected = Expected(part.spec, part.weights, part.inputs, activation_ulps=activation_ulps)
    present = [name for name in operands if name != "b" or part.spec.bias]
    return [name for name in present if expected.judge(reference_results(_replaced(part, name))).agrees]


def reference_results(problem: Problem) -> Results:
    """The float64 reference's results, rounded to the storage dtype."""
    spec, weights, inputs = problem.spec, problem.weights, problem.inputs
    trace = Trace() if problem.training else None
    # h stays float64 between steps: only what is returned is rounded
    y, last = forward(spec, weights, inputs.x, inputs.state, inputs.lengths, trace)
    results = Results(y.astype(spec.dtype), last.h.astype(spec.dtype), last.c.astype(spec.dtype))
    if trace is None:
        return results
    assert inputs.grad_y is not None
    assert inputs.grad_state is not None
    gradients = backward(spec, weights, trace, inputs.grad_y, inputs.grad_state, storage=spec.dtype)
    return replace(results, gradients=gradients)


def _replaced(problem: Problem, operand: str) -> Problem:
    """The problem with one operand negated."""
    i = problem.inputs
    match operand:
        case "x":
            return problem.with_inputs(x=-i.x)
        case "h0":
            return problem.with_inputs(state=LSTMState(-i.state.h, i.state.c))
        case "c0":
            return problem.with_inputs(state=LSTMState(i.state.h, -i.state.c))
    names = {"W": ("w_ih",), "U": ("w_hh",), "b": ("b_ih", "b_hh")}[operand]
    return problem.map_weights(lambda name, a: -a if name in names else a)
