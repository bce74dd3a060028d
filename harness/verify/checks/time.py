"""Steps follow each other: the past does not know the future, and a state carries all that went before."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from lstm_parity.backends.problem import Array

from ...problems.requirements import ProblemRequirements
from ..check import Check
from ..isolation.execute import tensors_of
from ..trial import Trial

ONE_WAY = ProblemRequirements(bidirectional=False, training=False, min_steps=2, lengths=False)


def _causal(trial: Trial) -> None:
    problem = trial.problem()
    t = trial.draw(st.integers(1, problem.steps - 1))
    x = np.array(problem.inputs.x)
    x[t:] = x[t:] * x.dtype.type(-2) + x.dtype.type(1)
    first = tensors_of(trial.run(problem))["y"][:t]
    other = tensors_of(trial.run(problem.with_inputs(x=x)))["y"][:t]
    begun = problem.first_rows_and_steps(problem.batch, t)
    trial.same(begun, {"y": other}, {"y": first}, f"the run with other values of x from step {t} on")


def _handed_on(trial: Trial) -> None:
    problem = trial.problem()
    t = trial.draw(st.integers(1, problem.steps - 1))
    x = problem.inputs.x
    whole = trial.run(problem)
    first = trial.run(problem.with_inputs(x=x[:t]))
    rest = problem.with_inputs(x=x[t:], state=type(problem.inputs.state)(first.h_n, first.c_n))
    second = trial.run(rest)
    parts: dict[str, Array] = {"y": np.concatenate([first.y, second.y]), "h_n": second.h_n, "c_n": second.c_n}
    trial.same(problem, parts, tensors_of(whole), f"one run of all steps; split after {t}")


CHECKS = (
    Check("causal", "the first outputs do not depend on later inputs", _causal, ONE_WAY),
    Check("state-handed-on", "one run equals two that hand the state on", _handed_on, ONE_WAY),
)
