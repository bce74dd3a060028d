"""Time steps: outputs do not depend on later inputs, and the state determines the rest of the sequence."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from lstm_parity.backends import LSTMState

from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ..check import CheckList, CheckRun

ONE_WAY = ProblemRequirements(bidirectional=False, training=False, min_steps=2, lengths=False)

checks = CheckList()


def _later_step(problem: Problem) -> st.SearchStrategy[int]:
    return st.integers(1, problem.steps - 1)


@checks.add("causal", "the first outputs do not depend on later inputs", ONE_WAY, draws={"t": _later_step})
def _causal(run: CheckRun, problem: Problem, t: int) -> None:
    x = np.array(problem.inputs.x)
    x[t:] = x[t:] * x.dtype.type(-2) + x.dtype.type(1)
    first = run.call(problem).y[:t]
    other = run.call(problem.with_inputs(x=x)).y[:t]
    begun = problem.first_rows_and_steps(problem.batch, t)
    run.require_same(begun, {"y": other}, {"y": first}, f"the run with other values of x from step {t} on")


@checks.add(
    "state-handed-on",
    "one run equals two, the second of which starts from the final state of the first",
    ONE_WAY,
    draws={"t": _later_step},
)
def _handed_on(run: CheckRun, problem: Problem, t: int) -> None:
    x = problem.inputs.x
    whole = run.call(problem)
    first = run.call(problem.with_inputs(x=x[:t]))
    second = run.call(problem.with_inputs(x=x[t:], state=LSTMState(first.h_n, first.c_n)))
    parts = {"y": np.concatenate([first.y, second.y]), "h_n": second.h_n, "c_n": second.c_n}
    run.require_same(problem, parts, whole.tensors(), f"one run of all steps; split after {t}")
