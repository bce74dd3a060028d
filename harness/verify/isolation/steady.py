"""Many calls of one instance, and whether the memory in use by the process grows with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from ...machine.memory_usage import DEVICE, MALLOC, PYTHON, RESIDENT, meters

CALLS = 1000
READINGS = 10
"""How often the meters are read, at equal intervals."""
LIMIT_S = 30.0
"""Seconds after which no further call is made."""
PARTS = 5
"""Number of parts of the calls. The first is for what is allocated once: caches, pools, threads. In each of the others a leak
grows at the same rate, whereas an allocator that takes a large block at once grows in one of them."""
MAX_GROWTH = 256
"""Bytes a call that are no leak. An object of 1 KiB must be found, even if only one call in three leaks one."""
MAX_PAGE_GROWTH = 1024
"""The same for meters in pages of 4 KiB, some of which are touched later than they are allocated."""


@dataclass(frozen=True)
class Growth:
    """How fast one meter grows, in the part of the calls in which it grew least."""

    meter: str
    bytes_a_call: float
    allowed: float

    @property
    def leaks(self) -> bool:
        """Whether it grows more than is allowed."""
        return self.bytes_a_call > self.allowed


def between(calls: int) -> int:
    """How many calls are made from one reading to the next."""
    return calls // READINGS


def repeat(call: Callable[[], None], calls: int) -> tuple[dict[str, int], ...]:
    """The values of every meter, READINGS times during `calls` calls; fewer where these take longer than LIMIT_S seconds."""
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

    every: calls from one reading to the next. returned: bytes that a call returns; a quarter of it may remain, up to
    MAX_GROWTH. Empty if there are fewer readings than parts.
    """
    if len(readings) < PARTS:
        return []
    marks = [len(readings) * part // PARTS - 1 for part in range(1, PARTS + 1)]
    fine = min(MAX_GROWTH, returned / 4)
    allowed = {PYTHON: fine, MALLOC: fine, DEVICE: fine, RESIDENT: max(MAX_PAGE_GROWTH, fine)}
    found = []
    for meter in readings[0]:
        values = [readings[mark].get(meter, 0) for mark in marks]
        steps = zip(values, values[1:], marks, marks[1:], strict=False)
        least = min((after - before) / ((b - a) * every) for before, after, a, b in steps)
        found.append(Growth(meter, least, allowed[meter]))
    return found
