"""Searches for an example that contradicts a check: Hypothesis draws the examples, and shrinks one that fails.

Everything that an example draws is drawn before anything runs. Hypothesis repeats and varies earlier examples; those are drawn
completely, so that the sequence of draws is the same, but not run.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import Flaky, Unsatisfiable

from lstm_parity.backends import Capabilities, LSTMWeights

from ..oracle.sensitivity import insensitive_to
from .check import Check, CheckRun
from .program import DisagreementError, Executor, TooSlowError

SHRINK_S = 10.0
"""Seconds of shrinking after the first failure."""

DRAWS_PER_EXAMPLE = 3
"""Maximum number of problems run for each requested example: those that cannot show an error do not count."""

CALLS_PER_EXAMPLE = 15
"""About six of seven problems that Hypothesis makes are variations of the seventh, or of the smallest. They are not run: sizes
and features would vary too little."""

UNSHRINKABLE = ("hung", "leak")
"""Kinds of failure that take too long to reproduce."""


@dataclass
class Search:
    """The result of the search."""

    examples: int = 0
    """Examples that could have shown an error."""
    insensitive: dict[str, int] = field(default_factory=dict)
    """How many examples could not show an error in an operand, by operand."""
    failure: DisagreementError | None = None
    """The smallest failure."""
    first_failure: DisagreementError | None = None
    bits: list[float] = field(default_factory=list)
    """The effective bits that the precision audit has measured."""
    too_slow: str = ""
    """Why the search ended early, "" if it did not."""


class _Failures(ExampleDatabase):
    """Saves failing examples only; Hypothesis would also save the one in which a search without a failure ends."""

    def __init__(self, folder: Path, search: Search) -> None:
        super().__init__()
        self._inner, self._search = DirectoryBasedExampleDatabase(folder), search

    def save(self, key: bytes, value: bytes) -> None:
        """Save it if something has failed."""
        if self._search.failure is not None:
            self._inner.save(key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """The saved examples."""
        return self._inner.fetch(key)

    def delete(self, key: bytes, value: bytes) -> None:
        """Remove one that does not fail any more."""
        self._inner.delete(key, value)


class _EnoughError(BaseException):
    """Ends the search; not an Exception, which Hypothesis would treat as a failure of the example."""


def search(
    check: Check,
    executor: Executor,
    capabilities: Capabilities,
    *,
    examples: int,
    seed_value: int,
    shrink: bool = True,
    database: Path | None = None,
    file_weights: LSTMWeights | None = None,
) -> Search:
    """Test the check on `examples` drawn examples, or until one fails; that one is shrunk."""
    found = Search()
    deadline = float("inf")
    seen: set[int] = set()
    runs = 0

    @settings(
        max_examples=CALLS_PER_EXAMPLE * examples,
        deadline=None,
        database=None if database is None else _Failures(database, found),
        phases=(Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else [])),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        print_blob=False,
    )
    @seed(seed_value)
    @given(st.data())
    def one_example(data: Any) -> None:
        nonlocal deadline, runs
        if monotonic() > deadline:
            raise _EnoughError
        nonce = data.draw(st.integers(0, 2**62))
        variation = found.failure is None and nonce in seen
        seen.add(nonce)
        problem, choices = check.draw(data.draw, capabilities, file_weights)
        if variation:
            return
        run = CheckRun(executor, capabilities)
        try:
            problem = check.test(run, problem, choices)
        except TooSlowError as error:
            found.too_slow = str(error)
            raise _EnoughError from None
        except DisagreementError as failure:
            if found.first_failure is None:
                found.first_failure = failure
                deadline = monotonic() + SHRINK_S
            if found.failure is None or _size(failure) <= _size(found.failure):
                found.failure = failure
            if not shrink or failure.kind in UNSHRINKABLE:
                raise _EnoughError from None
            raise
        if found.failure is not None:
            return
        insensitive = insensitive_to(problem, check.sensitive_to, capabilities.activation_ulps)
        for operand in insensitive:
            found.insensitive[operand] = found.insensitive.get(operand, 0) + 1
        if not insensitive:
            found.examples += 1
            found.bits += run.bits
        runs += 1
        if found.examples >= examples or runs >= DRAWS_PER_EXAMPLE * examples:
            raise _EnoughError

    # Flaky: one failure is enough
    with suppress(DisagreementError, _EnoughError, Unsatisfiable, Flaky):
        one_example()
    return found


def _size(failure: DisagreementError) -> tuple[int, ...]:
    """Fewer numbers first, then fewer features."""
    problems = [p for run in failure.runs for p in run.problems]
    numbers = sum(p.inputs.x.size + sum(a.size for _, a in p.weights.items()) + p.inputs.state.c.size for p in problems)
    features = sum(
        p.spec.bidirectional + p.spec.peephole + (p.spec.proj_size > 0) + (p.inputs.lengths is not None) + p.training
        for p in problems
    )
    return numbers, features
