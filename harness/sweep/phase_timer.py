"""What a sweep's wall time is spent on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

PHASES = {
    "samples": "inside timed calls",
    "setup": "starting workers, drawing weights and inputs, constructing backends, first calls",
    "checks": "computing what is expected, and checking results",
    "control": "the control workload",
    "peaks": "measuring the machine's peaks",
    "statistics": "medians and intervals",
    "store": "writing to the store",
}
"""The rest of the wall time is waiting: preparing inputs, flushing caches, messages."""


class PhaseTimer:
    """Seconds by phase."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._seconds = dict.fromkeys(PHASES, 0.0)

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Add the time within to a phase. Not to be nested."""
        start = perf_counter()
        try:
            yield
        finally:
            self._seconds[phase] += perf_counter() - start

    def add(self, phase: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere."""
        self._seconds[phase] += seconds

    def overhead(self) -> float:
        """Seconds so far that were not samples, waiting included."""
        return perf_counter() - self._start - self._seconds["samples"]

    def seconds(self, phase: str) -> float:
        """Seconds of a phase so far."""
        return self._seconds[phase]

    def summary(self) -> dict[str, float]:
        """Seconds by phase, waiting and the whole among them, as `wall_s`, `in_samples_s`, `setup_s` and so on."""
        wall = perf_counter() - self._start
        named = {("in_samples" if name == "samples" else name) + "_s": value for name, value in self._seconds.items()}
        return {"wall_s": wall, **named, "waiting_s": wall - sum(self._seconds.values())}
