"""Many calls of one instance, and whether the memory that the process holds grows with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from ...machine.memory_usage import DEVICE, MALLOC, PYTHON, RESIDENT, meters

CALLS = 1000
READINGS = 10
"""So often the meters are read meanwhile, after as many calls each time."""
LIMIT_S = 30.0
"""After so long no further call is made."""
PARTS = 5
"""The calls fall into so many parts. The first is for what is made once and kept: caches, pools, threads. In each of the others
a leak grows alike, where an allocator that takes a large piece at once grows in one."""
SMALLEST_LEAK = 256
"""Bytes a call: a quarter of the smallest object that must not go unseen, one of 1 KiB, which may stay one call in three."""
PAGE_LEAK = 1024
"""The same for what is counted in pages of 4 KiB, some of which are touched later than they are taken."""


@dataclass(frozen=True)
class Growth:
    """How fast one meter grows: bytes a call, in the part of the calls in which it grew least."""

    meter: str
    bytes_a_call: float
    allowed: float

    @property
    def leaks(self) -> bool:
        """Whether it is more than what a call may leave behind."""
        return self.bytes_a_call > self.allowed


def between(calls: int) -> int:
    """How many calls there are from one reading to the next."""
    return calls // READINGS


def repeat(call: Callable[[], None], calls: int) -> tuple[dict[str, int], ...]:
    """What every meter read, READINGS times over so many calls; less often where they take longer than LIMIT_S seconds."""
    readings: list[dict[str, int]] = []
    start = monotonic()
    with meters() as read:
        for number in range(1, calls + 1):
            call()
            if number % between(calls) == 0:
                readings.append(read())
            if monotonic() - start > LIMIT_S:
                break
    return tuple(readings)


def growths(readings: Sequence[dict[str, int]], every: int, returned: int) -> list[Growth]:
    """How each meter grew.

    every: calls from one reading to the next. returned: bytes that a call returns, of which it may leave a quarter behind.
    Empty where there are too few readings for a part each.
    """
    if len(readings) < PARTS:
        return []
    marks = [len(readings) * part // PARTS - 1 for part in range(1, PARTS + 1)]
    fine = min(SMALLEST_LEAK, returned / 4)
    allowed = {PYTHON: fine, MALLOC: fine, DEVICE: fine, RESIDENT: max(PAGE_LEAK, fine)}
    found = []
    for meter in readings[0]:
        values = [readings[mark].get(meter, 0) for mark in marks]
        steps = zip(values, values[1:], marks, marks[1:], strict=False)
        least = min((after - before) / ((b - a) * every) for before, after, a, b in steps)
        found.append(Growth(meter, least, allowed[meter]))
    return found
