"""Programs for a backend, their results, and failures.

A `Program` is data: it is sent to the process in which the backend runs (isolation/execute.py executes it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from lstm_parity.backends import LSTMSpec, LSTMWeights

from ..oracle.agreement import Expected
from ..oracle.location import Spot
from ..oracle.results import Results
from ..problems.problem import Problem
from ..problems.values import Inputs

Layout = Literal["plain", "read-only", "strided"]
"""Of the arrays that calls get; "strided": every other element of larger arrays with two axes swapped."""


@dataclass(frozen=True)
class ProgramResult:
    """What came back from a program."""

    results: tuple[Results, ...]
    """Of each call, as host arrays."""
    changes: tuple[str, ...]
    """What changed that must not change, a line each."""
    memory: tuple[dict[str, int], ...] = ()
    """Of a repeated call, instead of both: see steady.repeat."""


@dataclass(frozen=True)
class Program:
    """Instances, and calls of them."""

    answer: ClassVar[type] = ProgramResult

    instances: tuple[tuple[LSTMSpec, LSTMWeights], ...]
    """All are constructed before the first call."""
    calls: tuple[tuple[int, Inputs], ...]
    """(which instance, its inputs), in order."""
    layout: Layout = "plain"
    keep: bool = False
    """Returned arrays are kept to the end and compared again, instead of being filled with NaN after each call."""
    interleaved: bool = False
    """All forwards come first, then all backwards in the same order; each call needs an instance of its own."""
    reuse: bool = False
    """A call's inputs are written into the arrays of the call before, where the shapes are the same."""
    repeat: int = 0
    """The only call is made this many times, each with new arrays, and its results are discarded: see steady.py."""


class BackendFaultError(Exception):
    """The backend returned no results."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        """One of "form", "raised", "ended", "hung", "out of memory"."""
        self.reason = reason
        """One line."""


class Executor(Protocol):
    """Runs programs on a backend. `run` raises BackendFaultError."""

    def run(self, program: Program) -> ProgramResult:
        """The program's results."""


@dataclass(frozen=True, eq=False)
class ProgramRun:
    """One program that was run."""

    problems: tuple[Problem, ...]
    """Of its calls, in order."""
    program: Program
    result: ProgramResult | None
    """None where the backend returned none."""


class DisagreementError(Exception):
    """A check's claim does not hold."""

    def __init__(self, reason: str, runs: Sequence[ProgramRun], kind: str = "wrong", spot: Spot | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        """One line."""
        self.runs = list(runs)
        """The programs that show it."""
        self.kind = kind
        """One of "wrong", "leak" where memory grows, or that of a BackendFaultError."""
        self.spot = spot
        """The element that the reason is about, in the last program's last call; None where it is about none or two runs."""


class TooSlowError(Exception):
    """The backend is too slow for the check. The message says how slow."""


@dataclass(frozen=True)
class FailureLocation:
    """An element that the equations contradict: `spot` in the results of call `call` of program `program`, both from 0."""

    program: int
    call: int
    spot: Spot


def locate(disagreement: DisagreementError, activation_ulps: float) -> FailureLocation | None:
    """The first result that the equations contradict, and where; None where there is none."""
    for number, run in enumerate(disagreement.runs):
        results = () if run.result is None else run.result.results
        for call, (problem, found) in enumerate(zip(run.problems, results, strict=False)):
            expected = Expected(problem.spec, problem.weights, problem.inputs, activation_ulps=activation_ulps)
            judgement = expected.judge(found)
            if judgement.first_wrong is not None:
                return FailureLocation(number, call, judgement.first_wrong)
    return None
