"""One example of one check: what the check's body may draw, run and compare; and what is known when it fails.

A body draws a problem, has the backend run it, and says what must hold. Where that does not hold, `DisagreementError` carries
all that reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
from hypothesis import strategies as st

from lstm_parity.backends import Capabilities, LSTMWeights
from lstm_parity.backends.problem import Array

from ..oracle.agreement import Expected, Judgement
from ..oracle.location import Spot, error_ratio
from ..oracle.results import Results
from ..problems.problem import Problem
from ..problems.requirements import ProblemRequirements
from ..problems.strategies import problems, with_bounded_gradients
from .isolation.execute import Layout, Program, ProgramResult

Tensors = Mapping[str, Array]
"""Results by name: see execute.tensors_of."""


class Executor(Protocol):
    """Whoever runs programs on the backend. `run` raises BackendFaultError."""

    def run(self, program: Program) -> ProgramResult:
        """The program's results."""


class BackendFaultError(Exception):
    """The backend did not give results. kind: "form", "raised", "ended", "hung" or "out of memory"; reason: one line."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


@dataclass(frozen=True, eq=False)
class ProgramRun:
    """One program that was run: the problems of its calls, in order, and what came back (None where nothing did)."""

    problems: tuple[Problem, ...]
    program: Program
    result: ProgramResult | None


class DisagreementError(Exception):
    """What a check says must hold does not. reason: one line.

    kind: "wrong", "leak" where memory grows, or that of a BackendFaultError. spot: the element that the reason is about, in the
    last program's results; None where it is about none or about two runs: see `locate`.
    """

    def __init__(self, reason: str, runs: list[ProgramRun], kind: str = "wrong", spot: Spot | None = None) -> None:
        super().__init__(reason)
        self.reason, self.runs, self.kind, self.spot = reason, runs, kind, spot


class TooSlowError(Exception):
    """This example can show nothing here. The message says why."""


class VariationError(Exception):
    """Nothing is run for this example: it varies one that was run."""


@dataclass(frozen=True)
class FailureLocation:
    """A number that the equations contradict: a spot in what call `call` of program `program` returned, both from 0."""

    program: int
    call: int
    spot: Spot


def locate(disagreement: DisagreementError, activation_ulps: float) -> FailureLocation | None:
    """Which of the runs is off by the equations, and where; None where none is."""
    for number, asked in enumerate(disagreement.runs):
        for call, problem in enumerate(asked.problems):
            if asked.result is None or call >= len(asked.result.results):
                continue
            expected = Expected(problem.spec, problem.weights, problem.inputs, activation_ulps=activation_ulps)
            judgement = expected.judge(asked.result.results[call])
            if judgement.first_wrong is not None:
                return FailureLocation(number, call, judgement.first_wrong)
    return None


@dataclass
class Trial:
    """What a check's body is given.

    variation: nothing is run; so that Hypothesis sees the same draws, a body draws all that it draws before it runs anything.
    drawn: the problems that were drawn. asked: the programs that were run. bits: what the precision audit has read.
    """

    draw: Callable[[st.SearchStrategy[Any]], Any]
    executor: Executor
    capabilities: Capabilities
    requirements: ProblemRequirements
    file_weights: LSTMWeights | None = None
    variation: bool = False
    drawn: list[Problem] = field(default_factory=list)
    runs: list[ProgramRun] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    _expected: dict[int, tuple[Problem, Expected]] = field(default_factory=dict)

    @property
    def ulps(self) -> float:
        """The backend's activation_ulps."""
        return self.capabilities.activation_ulps

    def problem(self) -> Problem:
        """A problem that the check wishes and the backend promises to solve."""
        found: Problem = self.draw(problems(self.capabilities, self.requirements, self.file_weights))
        if found.training and not self.variation:
            found = with_bounded_gradients(found)
        self.drawn.append(found)
        return found

    def use(self, problem: Problem) -> Problem:
        """The example is this problem, made of the one that was drawn."""
        self.drawn[0] = problem
        return problem

    def run(self, problem: Problem, layout: Layout = "plain") -> Results:
        """The results of one call of a new instance."""
        return self.run_all([problem], layout=layout).results[0]

    def run_all(
        self, problems: list[Problem], *, shared: bool = True, keep: bool = False, reuse: bool = False, layout: Layout = "plain"
    ) -> ProgramResult:
        """Calls in one program. shared: one after the other on one instance, whose spec and weights all must have; else each on
        its own, all forwards before the first backward.
        """
        if self.variation:
            raise VariationError
        first = problems[:1] if shared else problems
        calls = tuple((0 if shared else k, p.inputs) for k, p in enumerate(problems))
        program = Program(tuple((p.spec, p.weights) for p in first), calls, layout, keep, interleaved=not shared, reuse=reuse)
        try:
            ran = self.executor.run(program)
        except BackendFaultError as fault:
            asked = [*self.runs, ProgramRun(tuple(problems), program, None)]
            raise DisagreementError(fault.reason, asked, kind=fault.kind) from fault
        self.runs.append(ProgramRun(tuple(problems), program, ran))
        return ran

    def memory(self, problem: Problem, calls: int) -> tuple[dict[str, int], ...]:
        """What the process held while one instance made the same call so many times: see steady.repeat."""
        if self.variation:
            raise VariationError
        program = Program(((problem.spec, problem.weights),), ((0, problem.inputs),), repeat=calls)
        try:
            return self.executor.run(program).memory
        except BackendFaultError as fault:
            raise DisagreementError(f"{problem.describe()}, in {calls:,} calls: {fault.reason}", [], kind=fault.kind) from fault

    def expected(self, problem: Problem) -> Expected:
        """What the problem's results are compared with; kept."""
        if id(problem) not in self._expected:
            found = Expected(problem.spec, problem.weights, problem.inputs, activation_ulps=self.ulps)
            self._expected[id(problem)] = (problem, found)  # while a problem is held, its id is no other's
        return self._expected[id(problem)][1]

    def agrees(self, problem: Problem, results: Results) -> Judgement:
        """Fail unless the results agree with the equations."""
        judgement = self.expected(problem).judge(results)
        if not judgement.agrees:
            self.fail(judgement.reason, judgement.first_wrong)
        return judgement

    def same(self, problem: Problem, got: Tensors, other: Tensors, against: str = "the other run") -> None:
        """Fail unless both agree to within twice the tolerance of the problem, which both solve.

        Tensors that only one of them has are not compared.
        """
        tolerances = self.expected(problem).tolerances(self.ulps)
        for name in got.keys() & other.keys():
            self.close(name, got[name], other[name], 2 * tolerances[name].allowed, against)

    def close(self, name: str, got: Array, expected: Array, allowed: Array | float, against: str) -> None:
        """Fail unless |got - expected| <= allowed everywhere; both NaN, or equal infinities, are the same."""
        got, expected = (np.asarray(a).astype(np.float64) for a in (got, expected))
        limit = np.broadcast_to(np.asarray(allowed, np.float64), got.shape)
        ratio = error_ratio(got, expected, limit)
        if not (ratio > 1).any():
            return
        index = tuple(int(i) for i in np.unravel_index(int((ratio > 1).argmax()), ratio.shape))
        values = f"{float(got[index]):.9g}, but {float(expected[index]):.9g} in {against}"
        self.fail(f"{name}{list(index)} is {values}, where a difference of {float(limit[index]):.2g} is allowed")

    def same_bits(self, got: Tensors, other: Tensors, against: str = "the other run") -> None:
        """Fail unless all tensors are the same bits."""
        for name, array in got.items():
            if array.tobytes() != other[name].tobytes():
                self.close(name, array, other[name], 0.0, against)
                self.fail(f"{name} differs from {against} in the sign of a zero or the bits of a NaN")

    def require(self, holds: bool, reason: str) -> None:
        """Fail with this reason unless it holds."""
        if not holds:
            self.fail(reason)

    def fail(self, reason: str, spot: Spot | None = None) -> NoReturn:
        """This example contradicts what must hold."""
        raise DisagreementError(reason, list(self.runs), spot=spot)
