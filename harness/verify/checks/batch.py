"""The rows of a batch are independent of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ...oracle.noise import ROW_AXIS
from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ..check import CheckList, CheckRun, Tensors

TWO_ROWS = ProblemRequirements(min_batch=2)

checks = CheckList()


def of_rows(tensors: Tensors, rows: Sequence[int]) -> Tensors:
    """The rows, in this order, of every tensor that has rows."""
    return {name: tensors[name][:, rows] for name in ROW_AXIS if name in tensors}


def any_row(problem: Problem) -> st.SearchStrategy[int]:
    """A row of the batch."""
    return st.integers(0, problem.batch - 1)


@checks.add(
    "rows-permuted",
    "permuting the rows of a batch permutes the result",
    TWO_ROWS,
    draws={"order": lambda problem: st.permutations(range(problem.batch))},
)
def _permuted(run: CheckRun, problem: Problem, order: Sequence[int]) -> None:
    permuted = problem.take_rows(order)
    straight = run.call(problem).tensors()
    other = run.call(permuted).tensors()
    run.require_same(permuted, other, {**straight, **of_rows(straight, order)}, "the run with the rows in the original order")


@checks.add("row-alone", "a row's result is the same in a batch and alone", TWO_ROWS, draws={"row": any_row})
def _alone(run: CheckRun, problem: Problem, row: int) -> None:
    single = problem.take_rows([row])
    together = of_rows(run.call(problem).tensors(), [row])
    alone = of_rows(run.call(single).tensors(), [0])
    run.require_same(single, together, alone, f"the run of row {row} alone")


@checks.add(
    "batch-size",
    "a row's result does not depend on the batch size",
    draws={"more": lambda _: st.integers(1, 8)},
)
def _padded(run: CheckRun, problem: Problem, more: int) -> None:
    rows = list(range(problem.batch))
    larger = problem.take_rows([*rows, *[0] * more])
    small = of_rows(run.call(problem).tensors(), rows)
    large = of_rows(run.call(larger).tensors(), rows)
    run.require_same(problem, large, small, f"the run without {more} additional rows")


@checks.add(
    "row-of-nan",
    "NaN or infinity in one row of a batch stays in that row",
    replace(TWO_ROWS, training=False),
    draws={
        "row": any_row,
        "value": lambda _: st.sampled_from([np.nan, np.inf, -np.inf]),
        "where": lambda _: st.sampled_from(["x", "h", "c"]),
    },
)
def _poisoned(run: CheckRun, problem: Problem, row: int, value: float, where: str) -> None:
    state = problem.inputs.state
    arrays = {"x": np.array(problem.inputs.x), "h": np.array(state.h), "c": np.array(state.c)}
    arrays[where][:, row] = value
    poisoned = problem.with_inputs(x=arrays["x"], state=replace(state, h=arrays["h"], c=arrays["c"]))
    others = [r for r in range(problem.batch) if r != row]
    clean = of_rows(run.call(problem).tensors(), others)
    found = of_rows(run.call(poisoned).tensors(), others)
    run.require_same(problem.take_rows(others), found, clean, f"the run without {value} in row {row}")
