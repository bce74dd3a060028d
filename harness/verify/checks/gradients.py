"""Properties of gradients that do not depend on their values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...problems.problem import Problem
from ...problems.related import split_gradients
from ...problems.requirements import ProblemRequirements
from ..check import CheckList, CheckRun
from .directions import units_permuted
from .memory import calls_independent, drawn_rounds, shortened

TRAINING = ProblemRequirements(training=True)

checks = CheckList()


@checks.add("gradients-linear", "gradients are linear in grad_y and grad_state", TRAINING, cost=2)
def _linear(run: CheckRun, problem: Problem) -> None:
    three = (problem, *split_gradients(problem, 0.5))
    whole, *parts = (run.call(p).tensors() for p in three)
    tolerances = [run.expected(p).tolerances(run.ulps) for p in three]
    for name in whole:
        if name.startswith("gradient"):
            total = sum(np.asarray(part[name], np.float64) for part in parts)
            allowed = sum(np.asarray(t[name].allowed) for t in tolerances)
            run.require_close(
                name, whole[name], np.asarray(total), np.asarray(allowed), "the sum of those of two parts of grad_y"
            )


@checks.add("gradients-zero", "gradients of 0 give gradients of 0", TRAINING)
def _zero(run: CheckRun, problem: Problem) -> None:
    nothing, _ = split_gradients(problem, 0.0)
    for name, array in run.call(nothing).tensors().items():
        if name.startswith("gradient"):
            run.require_close(name, array, np.zeros(array.shape), 0.0, "the gradient for grad_y = 0")


checks.add("gradients-units-permuted", "a unit's gradient follows its permutation", replace(TRAINING, min_hidden=2), cost=2)(
    units_permuted
)

checks.add(
    "gradients-fresh",
    "gradients are never accumulated over calls",
    TRAINING,
    draws=drawn_rounds,
    prepare=shortened,
    cost=2,
)(calls_independent)
