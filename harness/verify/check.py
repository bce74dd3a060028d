"""A check: a claim about every backend, the problems that it requires, and a function that tests the claim on one of them.

    checks = CheckList()

    @checks.add(
        "row-alone",
        "a row's result is the same in a batch and alone",
        ProblemRequirements(min_batch=2),
        draws={"row": lambda problem: st.integers(0, problem.batch - 1)},
    )
    def _alone(run: CheckRun, problem: Problem, row: int) -> None:
        together = of_rows(run.call(problem).tensors(), [row])
        alone = run.call(problem.take_rows([row])).tensors()
        run.require_same(problem.take_rows([row]), together, alone, f"the run of row {row} alone")

The function gets the problem and every other choice as data: all are drawn before anything runs (see search.py). The methods of
`CheckRun` run the backend, and raise DisagreementError if the claim does not hold. A function added to the `checks` of a file
in checks/ is in the suite; nothing else has to be registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from hypothesis import strategies as st

from lstm_parity.backends import Capabilities, LSTMWeights
from lstm_parity.backends.problem import Array

from ..oracle.agreement import Expected
from ..oracle.location import Spot, error_ratio
from ..oracle.results import Results
from ..oracle.sensitivity import OPERANDS
from ..problems.problem import Problem
from ..problems.requirements import ProblemRequirements
from ..problems.strategies import problems, with_bounded_gradients
from .program import BackendFaultError, DisagreementError, Executor, Layout, Program, ProgramResult, ProgramRun

Tensors = Mapping[str, Array]
"""Results by name: see Results.tensors."""

Body = Callable[..., None]
"""(CheckRun, Problem, and the drawn choices by name); raises DisagreementError."""

DESCRIPTIONS = {"lengths": "sequences of different lengths"}
"""Promises, as text in the form of Capabilities.why_unsupported."""


@dataclass(frozen=True)
class Check:
    """One entry of the suite."""

    name: str
    claim: str
    """What must hold, in one sentence."""
    body: Body
    requirements: ProblemRequirements = field(default_factory=ProblemRequirements)
    draws: Mapping[str, Callable[[Problem], st.SearchStrategy[Any]]] = field(default_factory=dict)
    """What else is drawn, given the problem, and passed to the body by name."""
    prepare: Callable[..., Problem] | None = None
    """(drawn problem, Capabilities, the drawn choices by name) -> the problem that the body gets."""
    sensitive_to: tuple[str, ...] = OPERANDS
    """Operands in which the problem must be able to show an error: see oracle/sensitivity.py."""
    needs: tuple[str, ...] = ()
    """Flags of Capabilities that the backend must promise besides what the requirements imply."""
    cost: float = 1
    """It runs 1/cost as many examples."""

    def examples(self, requested: int) -> int:
        """How many examples it runs where `requested` are requested."""
        return max(1, int(requested / self.cost))

    def why_skipped(self, capabilities: Capabilities) -> str | None:
        """The first promise that the check needs and that the backend does not make; None if it makes all."""
        missing = next((name for name in self.needs if not getattr(capabilities, name)), None)
        if missing is not None:
            return f"not promised: {DESCRIPTIONS.get(missing, missing)}"
        return self.requirements.unmet(capabilities)

    def draw(
        self, draw: Callable[[st.SearchStrategy[Any]], Any], capabilities: Capabilities, file_weights: LSTMWeights | None
    ) -> tuple[Problem, dict[str, Any]]:
        """Everything that one example draws: a problem, and the other choices by name."""
        problem: Problem = draw(problems(capabilities, self.requirements, file_weights))
        return problem, {name: draw(strategy(problem)) for name, strategy in self.draws.items()}

    def test(self, run: CheckRun, problem: Problem, choices: Mapping[str, Any]) -> Problem:
        """Run the body on what was drawn; returns the prepared problem. Raises DisagreementError, TooSlowError."""
        if problem.training:
            problem = with_bounded_gradients(problem)
        if self.prepare is not None:
            problem = self.prepare(problem, run.capabilities, **choices)
        self.body(run, problem, **choices)
        return problem


class CheckList:
    """The checks of one file, in order."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        """In the order in which they were added."""
        return iter(self._checks)

    def add(
        self, name: str, claim: str, requirements: ProblemRequirements | None = None, **fields: Any
    ) -> Callable[[Body], Body]:
        """Decorator: the function is the body of a check. fields: the other fields of Check."""

        def added(body: Body) -> Body:
            self._checks.append(Check(name, claim, body, requirements or ProblemRequirements(), **fields))
            return body

        return added


@dataclass
class CheckRun:
    """One example of one check: runs the backend for its body, and compares results."""

    executor: Executor
    capabilities: Capabilities
    runs: list[ProgramRun] = field(default_factory=list)
    """The programs that were run."""
    bits: list[float] = field(default_factory=list)
    """The effective bits that the precision audit has measured."""
    _expected: dict[int, tuple[Problem, Expected]] = field(default_factory=dict)

    @property
    def ulps(self) -> float:
        """The backend's activation_ulps."""
        return self.capabilities.activation_ulps

    def call(self, problem: Problem, layout: Layout = "plain") -> Results:
        """The results of one call of a new instance."""
        return self.calls([problem], layout=layout).results[0]

    def calls(
        self,
        problems: Sequence[Problem],
        *,
        shared: bool = True,
        keep: bool = False,
        reuse: bool = False,
        layout: Layout = "plain",
    ) -> ProgramResult:
        """Several calls in one program; keep, reuse and layout as in Program.

        shared: one call after the other on one instance, whose spec and weights all problems must have; else each call on an
        instance of its own, all forwards before the first backward.
        """
        instances = problems[:1] if shared else problems
        calls = tuple((0 if shared else k, p.inputs) for k, p in enumerate(problems))
        program = Program(
            tuple((p.spec, p.weights) for p in instances), calls, layout, keep, interleaved=not shared, reuse=reuse
        )
        try:
            result = self.executor.run(program)
        except BackendFaultError as error:
            runs = [*self.runs, ProgramRun(tuple(problems), program, None)]
            raise DisagreementError(error.reason, runs, kind=error.kind) from error
        self.runs.append(ProgramRun(tuple(problems), program, result))
        return result

    def memory(self, problem: Problem, calls: int) -> tuple[dict[str, int], ...]:
        """Memory readings while one instance makes the same call `calls` times: see steady.repeat."""
        program = Program(((problem.spec, problem.weights),), ((0, problem.inputs),), repeat=calls)
        try:
            return self.executor.run(program).memory
        except BackendFaultError as error:
            raise DisagreementError(f"{problem.describe()}, in {calls:,} calls: {error.reason}", [], kind=error.kind) from error

    def expected(self, problem: Problem) -> Expected:
        """The reference values of the problem; computed once."""
        if id(problem) not in self._expected:
            found = Expected(problem.spec, problem.weights, problem.inputs, activation_ulps=self.ulps)
            self._expected[id(problem)] = (problem, found)  # with the problem, so that its id is not used again
        return self._expected[id(problem)][1]

    def require_equations(self, problem: Problem, results: Results) -> None:
        """Fail unless the results agree with the equations."""
        judgement = self.expected(problem).judge(results)
        if not judgement.agrees:
            self.fail(judgement.reason, judgement.first_wrong)

    def require_same(self, problem: Problem, got: Tensors, other: Tensors, against: str) -> None:
        """Fail unless both, results of the same problem, agree to within twice its tolerance.

        Only tensors that both have are compared.
        """
        tolerances = self.expected(problem).tolerances(self.ulps)
        for name in got.keys() & other.keys():
            self.require_close(name, got[name], other[name], 2 * tolerances[name].allowed, against)

    def require_close(self, name: str, got: Array, expected: Array, allowed: Array | float, against: str) -> None:
        """Fail unless |got - expected| <= allowed everywhere; two NaN, or equal infinities, agree."""
        got, expected = (np.asarray(a).astype(np.float64) for a in (got, expected))
        limit = np.broadcast_to(np.asarray(allowed, np.float64), got.shape)
        ratio = error_ratio(got, expected, limit)
        if not (ratio > 1).any():
            return
        index = tuple(int(i) for i in np.unravel_index(int((ratio > 1).argmax()), ratio.shape))
        values = f"{float(got[index]):.9g}, but {float(expected[index]):.9g} in {against}"
        self.fail(f"{name}{list(index)} is {values}; allowed difference {float(limit[index]):.2g}")

    def require_same_bits(self, got: Tensors, other: Tensors, against: str) -> None:
        """Fail unless all tensors are the same bits."""
        for name, array in got.items():
            if array.tobytes() != other[name].tobytes():
                self.require_close(name, array, other[name], 0.0, against)
                self.fail(f"{name} differs from {against} in the sign of a zero or the bits of a NaN")

    def require(self, condition: bool, reason: str) -> None:
        """Fail with this reason unless the condition is true."""
        if not condition:
            self.fail(reason)

    def fail(self, reason: str, spot: Spot | None = None) -> NoReturn:
        """Raise DisagreementError: this example contradicts the claim."""
        raise DisagreementError(reason, self.runs, spot=spot)
