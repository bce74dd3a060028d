"""What must hold of gradients, whatever their values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstm_parity.backends import LSTMState
from lstm_parity.backends.problem import Array

from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ..check import Check
from ..isolation.execute import tensors_of
from ..trial import Trial
from .directions import _units
from .memory import _fresh

TRAINING = ProblemRequirements(training=True)


def _with_back(problem: Problem, keep: list[Array]) -> Problem:
    """The problem with grad_y and grad_state kept where `keep` (of y, h and c) is true, and 0 elsewhere."""
    i = problem.inputs
    assert i.grad_y is not None
    assert i.grad_state is not None
    parts = [
        np.where(k, g, np.zeros((), g.dtype)) for k, g in zip(keep, (i.grad_y, i.grad_state.h, i.grad_state.c), strict=True)
    ]
    return problem.with_inputs(grad_y=parts[0], grad_state=LSTMState(parts[1], parts[2]))


def _masks(problem: Problem, share: float) -> list[Array]:
    i = problem.inputs
    assert i.grad_y is not None
    assert i.grad_state is not None
    rng = np.random.default_rng(problem.steps)
    return [rng.random(g.shape) < share for g in (i.grad_y, i.grad_state.h, i.grad_state.c)]


def _linear(trial: Trial) -> None:
    problem = trial.problem()
    masks = _masks(problem, 0.5)
    parts = [_with_back(problem, masks), _with_back(problem, [~m for m in masks])]
    whole, *shares = (tensors_of(trial.run(p)) for p in (problem, *parts))
    tolerances = [trial.expected(p).tolerances(trial.ulps) for p in (problem, *parts)]
    for name in whole:
        if name.startswith("gradient"):
            total = sum(np.asarray(share[name], np.float64) for share in shares)
            allowed = sum(np.asarray(t[name].allowed) for t in tolerances)
            trial.close(name, whole[name], np.asarray(total), np.asarray(allowed), "the sum of those of two parts of grad_y")


def _zero(trial: Trial) -> None:
    problem = trial.problem()
    found = tensors_of(trial.run(_with_back(problem, _masks(problem, 0.0))))
    for name, array in found.items():
        if name.startswith("gradient"):
            trial.close(name, array, np.zeros(array.shape), 0.0, "what a gradient of 0 gives")


CHECKS = (
    Check("gradients-linear", "gradients are linear in grad_y and grad_state", _linear, TRAINING, cost=2),
    Check("gradients-zero", "gradients of 0 give gradients of 0", _zero, TRAINING),
    Check(
        "gradients-units-permuted",
        "a unit's gradient follows its permutation",
        _units,
        replace(TRAINING, min_hidden=2),
        cost=2,
    ),
    Check("gradients-fresh", "gradients are never accumulated over calls", _fresh, TRAINING, cost=2),
)
