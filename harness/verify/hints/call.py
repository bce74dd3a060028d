"""A problem with the results of the backend, to be compared with the equations and with those of faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lstm_parity.backends.problem import Array

from ...oracle.agreement import Expected, Judgement
from ...oracle.location import error_ratio
from ...oracle.results import Results
from ...oracle.tolerance import Tolerance
from ...problems.problem import Problem
from ..program import BackendFaultError, Executor, Program

FORWARD = ("y", "h_n", "c_n")


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a backend."""

    problem: Problem
    results: Results
    ulps: float
    """The backend's activation_ulps."""

    @cached_property
    def expected(self) -> Expected:
        """What the results are compared with."""
        return Expected(self.problem.spec, self.problem.weights, self.problem.inputs, activation_ulps=self.ulps)

    @cached_property
    def judgement(self) -> Judgement:
        """Whether the results agree with the equations."""
        return self.expected.judge(self.results)

    @cached_property
    def got(self) -> dict[str, Array]:
        """The results in float64, by name."""
        return {name: np.asarray(a).astype(np.float64) for name, a in self.results.tensors().items()}

    @property
    def tolerances(self) -> dict[str, Tolerance]:
        """The tolerances by name."""
        return self.expected.tolerances(self.ulps)

    def matches(self, tensors: Mapping[str, Array] | None) -> bool:
        """Whether the results are these, to within the largest tolerance of each tensor, scaled with the tensor's size."""
        if tensors is None:
            return False
        for name, array in tensors.items():
            got, right = self.got.get(name), self.tolerances[name]
            if got is None or got.shape != array.shape:
                return False
            sizes = [float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in (array, right.reference)]
            allowed = float(np.max(right.allowed, initial=0.0)) * max(1.0, sizes[0] / sizes[1] if sizes[1] else 1.0)
            if (error_ratio(got, np.asarray(array), np.asarray(allowed)) > 1).any():
                return False
        return True


def solved(executor: Executor, problem: Problem, ulps: float) -> Call | None:
    """The problem as the one call of a new instance; None where the backend gives no results."""
    try:
        ran = executor.run(Program(((problem.spec, problem.weights),), ((0, problem.inputs),)))
    except BackendFaultError:
        return None
    return Call(problem, ran.results[0], ulps) if ran.results else None
