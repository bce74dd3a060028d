"""Rows of different lengths in one batch."""

from __future__ import annotations

import numpy as np

from lstm_parity.backends.problem import Array

from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ..check import CheckList, CheckRun
from .batch import any_row, of_rows

RAGGED = ProblemRequirements(lengths=True)

checks = CheckList()


def _padding(problem: Problem) -> Array:
    """Which steps [T, B] are past their row's length."""
    return np.arange(problem.steps)[:, None] >= problem.lengths


@checks.add(
    "lengths-row-alone",
    "a row of a ragged batch equals that row alone, and y past its length is 0",
    RAGGED,
    draws={"row": any_row},
)
def _alone(run: CheckRun, problem: Problem, row: int) -> None:
    length = int(problem.lengths[row])
    together = run.call(problem).tensors()
    padding = together["y"][length:, row]
    run.require_close("y past the length of a row", padding, np.zeros_like(padding), 0.0, "the contract")
    single = problem.take_rows([row])
    if length == 0:
        state = single.inputs.state
        run.require_close("h_n of a row of length 0", together["h_n"][:, [row]], state.h, 0.0, "its initial state")
        run.require_close("c_n of a row of length 0", together["c_n"][:, [row]], state.c, 0.0, "its initial state")
        return
    i = single.inputs
    cut = single.with_inputs(x=i.x[:length], lengths=None, grad_y=None if i.grad_y is None else i.grad_y[:length])
    alone = run.call(cut).tensors()
    of_row = dict(of_rows(together, [row]))
    for name in ("y", "gradient of x"):
        if name in of_row:
            of_row[name] = of_row[name][:length]
    run.require_same(cut, of_row, {name: alone[name] for name in of_row}, f"row {row} alone, {length} steps long")


@checks.add("padding-of-nan", "x past a row's length is never read", RAGGED)
def _poisoned(run: CheckRun, problem: Problem) -> None:
    x = np.where(_padding(problem)[..., None], np.array(np.nan, problem.spec.dtype), problem.inputs.x)
    clean, poisoned = run.call(problem), run.call(problem.with_inputs(x=x))
    run.require_same(problem, poisoned.tensors(), clean.tensors(), "the run without NaN in the padding")


@checks.add(
    "lengths-full",
    "lengths that are all T give the same as no lengths",
    ProblemRequirements(lengths=False),
    needs=("lengths",),
)
def _full(run: CheckRun, problem: Problem) -> None:
    full = problem.with_inputs(lengths=np.full(problem.batch, problem.steps))
    without = problem.with_inputs(lengths=None)
    run.require_same(problem, run.call(full).tensors(), run.call(without).tensors(), "the run without lengths")


@checks.add(
    "gradients-padding",
    "past a row's length the gradient of x is 0, and a row of length 0 passes gradients through",
    ProblemRequirements(lengths=True, training=True),
)
def _no_gradient(run: CheckRun, problem: Problem) -> None:
    found = run.call(problem).tensors()
    past = found["gradient of x"][_padding(problem)]
    run.require_close("the gradient of x past the length of a row", past, np.zeros_like(past), 0.0, "the contract")
    zero, back = problem.lengths == 0, problem.inputs.grad_state
    assert back is not None
    for name, given in (("gradient of h0", back.h), ("gradient of c0", back.c)):
        run.require_close(f"{name} of rows of length 0", found[name][:, zero], given[:, zero], 0.0, "grad_state")
