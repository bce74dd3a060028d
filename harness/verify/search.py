"""Looks for an example that contradicts a check: Hypothesis draws, and shrinks what it finds."""

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

from .ability import insensitive_to
from .check import Check
from .trial import DisagreementError, Executor, TooSlowError, Trial, VariationError

SHRINK_S = 10.0
"""Seconds after the first failure within which it is made smaller."""

DRAWS_PER_EXAMPLE = 3
"""So many problems at most are run for each that is asked for: those that can show no error do not count."""

CALLS_PER_EXAMPLE = 15
"""Of about seven problems that Hypothesis makes, six are variations of the seventh, or of the smallest. They are not run: sizes
and features would be drawn from far fewer."""

UNSHRINKABLE = ("hung", "leak")
"""Kinds of failure that cost too much to see twice."""


@dataclass
class Search:
    """What became of one check. examples: those that could have shown an error. blind: those that could not, and why.

    too_slow: why it was given up, "" where it was not.
    """

    examples: int = 0
    blind: dict[str, int] = field(default_factory=dict)
    failure: DisagreementError | None = None
    first_failure: DisagreementError | None = None
    bits: list[float] = field(default_factory=list)
    too_slow: str = ""


class _Failures(ExampleDatabase):
    """Keeps examples that failed. Hypothesis would also keep the one in which a search that found nothing is ended."""

    def __init__(self, folder: Path, search: Search) -> None:
        super().__init__()
        self._inner, self._search = DirectoryBasedExampleDatabase(folder), search

    def save(self, key: bytes, value: bytes) -> None:
        """Once something has failed."""
        if self._search.failure is not None:
            self._inner.save(key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """What was kept."""
        return self._inner.fetch(key)

    def delete(self, key: bytes, value: bytes) -> None:
        """What no longer fails."""
        self._inner.delete(key, value)


class _EnoughError(BaseException):
    """Ends the search at once; no Exception, which Hypothesis would take for a failure of the example."""


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
    """Run the check's body on so many drawn examples, or until one fails; that one is shrunk. See Search."""
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
        trial = Trial(data.draw, executor, capabilities, check.requirements, file_weights, variation)
        try:
            check.body(trial)
        except VariationError:
            return
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
        blind = insensitive_to(trial.drawn[0], check.sensitive_to, capabilities.activation_ulps) if trial.drawn else []
        if blind:
            for operand in blind:
                found.blind[operand] = found.blind.get(operand, 0) + 1
        else:
            found.examples += 1
            found.bits += trial.bits
        runs += 1
        if found.examples >= examples or runs >= DRAWS_PER_EXAMPLE * examples:
            raise _EnoughError

    # Flaky: what failed once and not again has failed
    with suppress(DisagreementError, _EnoughError, Unsatisfiable, Flaky):
        one_example()
    return found


def _size(failure: DisagreementError) -> tuple[int, ...]:
    """Smaller is easier to read: fewer numbers, then fewer features."""
    problems = [p for asked in failure.runs for p in asked.problems]
    numbers = sum(p.inputs.x.size + sum(a.size for _, a in p.weights.items()) + p.inputs.state.c.size for p in problems)
    features = sum(
        p.spec.bidirectional + p.spec.peephole + (p.spec.proj_size > 0) + (p.inputs.lengths is not None) + p.training
        for p in problems
    )
    return numbers, features
