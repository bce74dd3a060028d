"""Rows of different lengths in one batch."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from lstm_parity.backends.problem import Array

from ...oracle.noise import ROW_AXIS
from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ..check import Check
from ..isolation.execute import tensors_of
from ..trial import Trial

RAGGED = ProblemRequirements(lengths=True)


def _beyond(problem: Problem) -> Array:
    """Which steps [T, B] lie past their row's length."""
    return np.arange(problem.steps)[:, None] >= problem.lengths


def _alone(trial: Trial) -> None:
    problem = trial.problem()
    row = trial.draw(st.integers(0, problem.batch - 1))
    length = int(problem.lengths[row])
    together = tensors_of(trial.run(problem))
    padding = together["y"][length:, row]
    trial.close("y past the length of a row", padding, np.zeros_like(padding), 0.0, "the promise")
    single = problem.take_rows([row])
    if length == 0:
        state = single.inputs.state
        trial.close("h_n of a row of length 0", together["h_n"][:, [row]], state.h, 0.0, "its initial state")
        trial.close("c_n of a row of length 0", together["c_n"][:, [row]], state.c, 0.0, "its initial state")
        return
    i = single.inputs
    cut = single.with_inputs(x=i.x[:length], lengths=None, grad_y=None if i.grad_y is None else i.grad_y[:length])
    alone = tensors_of(trial.run(cut))
    of_row = {name: together[name][:, [row]] for name in ROW_AXIS if name in together}
    for name in ("y", "gradient of x"):
        if name in of_row:
            of_row[name] = of_row[name][:length]
    trial.same(cut, of_row, {name: alone[name] for name in of_row}, f"row {row} alone, {length} steps long")


def _poisoned(trial: Trial) -> None:
    problem = trial.problem()
    x = np.where(_beyond(problem)[..., None], np.array(np.nan, problem.spec.dtype), problem.inputs.x)
    clean, poisoned = trial.run(problem), trial.run(problem.with_inputs(x=x))
    trial.same(problem, tensors_of(poisoned), tensors_of(clean), "the run without NaN in the padding")


def _full(trial: Trial) -> None:
    problem = trial.problem()
    full = problem.with_inputs(lengths=np.full(problem.batch, problem.steps))
    without = problem.with_inputs(lengths=None)
    trial.same(problem, tensors_of(trial.run(full)), tensors_of(trial.run(without)), "the run without lengths")


def _no_gradient(trial: Trial) -> None:
    problem = trial.problem()
    found = tensors_of(trial.run(problem))
    beyond = _beyond(problem)
    past = found["gradient of x"][beyond]
    trial.close("the gradient of x past the length of a row", past, np.zeros_like(past), 0.0, "the promise")
    zero, back = problem.lengths == 0, problem.inputs.grad_state
    assert back is not None
    for name, given in (("gradient of h0", back.h), ("gradient of c0", back.c)):
        trial.close(f"{name} of rows of length 0", found[name][:, zero], given[:, zero], 0.0, "grad_state")


CHECKS = (
    Check("lengths-row-alone", "a row of a ragged batch is that row alone, and y past its length is 0", _alone, RAGGED),
    Check("padding-of-nan", "what stands in x past a row's length is never read", _poisoned, RAGGED),
    Check(
        "lengths-full",
        "rows that all have T steps are those without lengths",
        _full,
        ProblemRequirements(lengths=False),
        needs=("lengths",),
    ),
    Check(
        "gradients-padding",
        "past a row's length the gradient of x is 0, and a row of length 0 passes gradients through",
        _no_gradient,
        ProblemRequirements(lengths=True, training=True),
    ),
)
