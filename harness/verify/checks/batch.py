"""The rows of a batch have nothing to do with each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ...oracle.noise import ROW_AXIS
from ...problems.requirements import ProblemRequirements
from ..check import Check
from ..isolation.execute import tensors_of
from ..trial import Tensors, Trial

TWO_ROWS = ProblemRequirements(min_batch=2)


def of_rows(tensors: Tensors, rows: list[int]) -> Tensors:
    """The rows, in this order, of every tensor that has rows."""
    return {name: tensors[name][:, rows] for name in ROW_AXIS if name in tensors}


def _permuted(trial: Trial) -> None:
    problem = trial.problem()
    order = trial.draw(st.permutations(range(problem.batch)))
    permuted = problem.take_rows(order)
    straight = tensors_of(trial.run(problem))
    other = tensors_of(trial.run(permuted))
    trial.same(permuted, other, {**straight, **of_rows(straight, order)}, "the run with the rows in their first order")


def _alone(trial: Trial) -> None:
    problem = trial.problem()
    row = trial.draw(st.integers(0, problem.batch - 1))
    single = problem.take_rows([row])
    together = of_rows(tensors_of(trial.run(problem)), [row])
    alone = of_rows(tensors_of(trial.run(single)), [0])
    trial.same(single, together, alone, f"the run of row {row} alone")


def _padded(trial: Trial) -> None:
    problem = trial.problem()
    more = trial.draw(st.integers(1, 8))
    larger = problem.take_rows([*range(problem.batch), *[0] * more])
    rows = list(range(problem.batch))
    small = of_rows(tensors_of(trial.run(problem)), rows)
    large = of_rows(tensors_of(trial.run(larger)), rows)
    trial.same(problem, large, small, f"the run without {more} more rows")


def _poisoned(trial: Trial) -> None:
    problem = trial.problem()
    row = trial.draw(st.integers(0, problem.batch - 1))
    value = trial.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    x, state = np.array(problem.inputs.x), problem.inputs.state
    h, c = np.array(state.h), np.array(state.c)
    trial.draw(st.sampled_from([x, h, c]))[:, row] = value
    poisoned = problem.with_inputs(x=x, state=replace(state, h=h, c=c))
    others = [r for r in range(problem.batch) if r != row]
    clean = of_rows(tensors_of(trial.run(problem)), others)
    found = of_rows(tensors_of(trial.run(poisoned)), others)
    trial.same(problem.take_rows(others), found, clean, f"the run without {value} in row {row}")


CHECKS = (
    Check("rows-permuted", "permuting the rows of a batch permutes the result", _permuted, TWO_ROWS),
    Check("row-alone", "a row's result is the same in a batch and alone", _alone, TWO_ROWS),
    Check("batch-size", "a row's result does not depend on how many rows there are", _padded),
    Check(
        "row-of-nan", "NaN or infinity in one row of a batch stays in that row", _poisoned, replace(TWO_ROWS, training=False)
    ),
)
