"""Medians with distribution-free intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .records import RawSample


@dataclass(frozen=True)
class Interval:
    """A median and the ends of its 95% confidence interval."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's width, relative to the median."""
        return (self.high - self.low) / 2 / self.median if self.median > 0 else float("inf")


def order_statistics(count: int, confidence: float = 0.95) -> tuple[int, int] | None:
    """Ranks (from 0) of the order statistics that enclose the median with at least that confidence; None for too few values.

    The number of values below the median is binomial with p = 1/2, whatever the distribution (David, Nagaraja, Order
    Statistics, 7.1). Below 6 values no pair reaches 95%.
    """
    if count > 1000:  # the normal approximation is off by less than one rank from here on
        reach = 0.98 * count**0.5
        return int(count / 2 - reach), min(count - 1, int(count / 2 + reach))
    tail, below = 0, -1
    for k in range(count // 2):
        tail += comb(count, k)
        if 2 * tail > (1 - confidence) * 2**count:
            break
        below = k
    return None if below < 0 else (below, count - 1 - below)


def median_interval(values: ArrayLike) -> Interval:
    """Median of the values and its 95% interval; infinitely wide where there are too few values."""
    ordered = np.sort(np.asarray(values, np.float64))
    ranks = order_statistics(len(ordered))
    median = float(np.median(ordered))
    if ranks is None:
        return Interval(median, 0.0, float("inf"))
    return Interval(median, float(ordered[ranks[0]]), float(ordered[ranks[1]]))


def pairs_of_blocks(samples: Sequence[RawSample], base: Sequence[RawSample]) -> NDArray[Any]:
    """The ratio of a sample's time to the base's, for each block in which both have one that counts."""
    theirs = {s.block: s.seconds for s in base if s.used}
    return np.array([s.seconds / theirs[s.block] for s in samples if s.used and s.block in theirs])
