"""Where a sweep's wall time goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

ACCOUNTS = ("samples", "setup", "checks", "control", "peaks", "statistics", "store")
"""What time is spent on. samples: inside timed calls; setup: starting workers, drawing weights and inputs, constructing
backends, first calls; checks: computing what is expected and judging results; control: the fixed workload; the rest of the wall
time is waiting."""


class Ledger:
    """Seconds by account; waiting (preparing inputs, flushing caches, messages) is what no account took."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._spent = dict.fromkeys(ACCOUNTS, 0.0)

    @contextmanager
    def spend(self, account: str) -> Iterator[None]:
        """Book the time within. Not to be nested."""
        start = perf_counter()
        try:
            yield
        finally:
            self._spent[account] += perf_counter() - start

    def book(self, account: str, seconds: float) -> None:
        """Book seconds that were measured elsewhere."""
        self._spent[account] += seconds

    def overhead(self) -> float:
        """Seconds so far that were not samples, waiting included."""
        return perf_counter() - self._start - self._spent["samples"]

    def spent(self, account: str) -> float:
        """Seconds booked so far."""
        return self._spent[account]

    def summary(self) -> dict[str, float]:
        """Seconds by account, waiting and the whole among them, as `wall_s`, `in_samples_s`, `setup_s` and so on."""
        wall = perf_counter() - self._start
        named = {("in_samples" if name == "samples" else name) + "_s": value for name, value in self._spent.items()}
        return {"wall_s": wall, **named, "waiting_s": wall - sum(self._spent.values())}
