"""Hints for a failure that ordinary problems do not show: which sizes or values it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...problems.problem import Problem
from ...problems.regimes import draw_problem
from ..program import Executor
from .call import solved

EXTREME = 20.0
"""Values beyond this do not occur in spread problems."""


def hints_of_sizes(executor: Executor, problem: Problem, ulps: float) -> list[str]:
    """The sizes at which it is wrong and right one below or above, at most two; or that the values matter."""
    spec = problem.spec

    def right(steps: int = 0, batch: int = 0, inputs: int = 0, hidden: int = 0) -> bool | None:
        """Whether a problem of spread values is solved, with this added to its sizes; None where there is none."""
        t, b, size = problem.steps + steps, problem.batch + batch, spec.hidden_size + hidden
        if min(t, b, size, spec.input_size + inputs) < 1 or (spec.proj_size and size <= spec.proj_size):
            return None
        lengths = problem.inputs.lengths
        lengths = None if lengths is None else np.minimum(np.resize(lengths, b), t)
        other = replace(spec, input_size=spec.input_size + inputs, hidden_size=size)
        call = solved(executor, draw_problem(other, t, b, 21, lengths=lengths, training=problem.training), ulps)
        return None if call is None else call.judgement.agrees

    if right():
        given = [problem.inputs.x, problem.inputs.state.c, *(a for _, a in problem.weights.items())]
        largest = max(float(np.nanmax(np.abs(np.asarray(a, np.float64)), initial=0.0)) for a in given)
        if problem.regime == "spread" and largest <= EXTREME:
            return []
        return [f"the same sizes are right with spread values: the values matter ({problem.regime}, the largest {largest:.3g})"]
    found = []
    for letter, axis, size in (
        ("T", "steps", problem.steps),
        ("B", "batch", problem.batch),
        ("I", "inputs", spec.input_size),
        ("H", "hidden", spec.hidden_size),
    ):
        below, above = right(**{axis: -1}), right(**{axis: 1})
        if below and above:
            found.append(f"it is wrong at {letter}={size}, and right at {size - 1} and {size + 1}")
        elif below:
            found.append(f"it is wrong from {letter}={size} on, and right at {size - 1}")
        elif above:
            found.append(f"it is wrong at {letter}={size}, and right at {size + 1}")
    return found[:2]
