"""Statistics: medians with distribution-free intervals, ratios within blocks, and what a comparison needs.

Distributions and procedures are scipy's. scipy.stats takes most of a second to import, so the functions that need it import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrik, betaincinv, ndtr, ndtri, stdtr, stdtrit

from .records import RawSample

CONFIDENCE = 0.95
"""Of the interval of a median."""


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


def median_ranks(counts: ArrayLike) -> NDArray[np.int64]:
    """The largest k such that the k-th smallest and k-th largest of n values enclose the median with 95%; 0 if none do.

    The number of values below the median is binomial with p = 1/2, whatever the distribution (David and Nagaraja, Order
    Statistics, 7.1). Below 6 values no pair of them encloses it with 95%.
    """
    n, tail = np.asarray(counts, np.int64), (1 - CONFIDENCE) / 2
    k = np.floor(np.maximum(bdtrik(tail, n, 0.5), 0.0)) + 1
    outside = bdtr(k - 1, n, 0.5)  # the probability that the median is below the k-th smallest
    found: NDArray[np.int64] = np.where(outside > tail, k - 1, k).astype(np.int64)
    return found


def median_interval(values: ArrayLike) -> Interval:
    """Median of the values and its 95% interval; infinitely wide where there are too few values."""
    ordered = np.sort(np.asarray(values, np.float64))
    rank, median = int(median_ranks(len(ordered))), float(np.median(ordered))
    if rank == 0:
        return Interval(median, 0.0, float("inf"))
    return Interval(median, float(ordered[rank - 1]), float(ordered[-rank]))


def block_ratios(samples: Sequence[RawSample], base: Sequence[RawSample]) -> NDArray[Any]:
    """The ratio of a sample's time to the base's, for each block in which both have a sample that is used."""
    of_base = {s.block: s.seconds for s in base if s.used}
    return np.array([s.seconds / of_base[s.block] for s in samples if s.used and s.block in of_base])


@dataclass(frozen=True)
class TrimmedMean:
    """A trimmed mean and its standard error, for Student's distribution with so many degrees of freedom."""

    mean: float
    error: float
    degrees: int


def trimmed_mean(values: Sequence[float], share: float) -> TrimmedMean:
    """The mean without that share of the values at either end; at least two values must be left.

    The error is that of the winsorized values, so that no single outlier decides (Tukey and McLaughlin, Sankhya A 25, 1963).
    """
    from scipy.stats import trim_mean

    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    cut = int(share * n)
    kept = n - 2 * cut
    winsorized = ordered.clip(ordered[cut], ordered[n - cut - 1])
    error = winsorized.std(ddof=1) * np.sqrt((n - 1) / (kept * (kept - 1)))
    return TrimmedMean(float(trim_mean(ordered, share)), float(error), kept - 1)


def student_quantile(degrees: ArrayLike, confidence: float = CONFIDENCE) -> Any:
    """t with P(|X| <= t) = confidence for Student's distribution."""
    return stdtrit(degrees, (1 + confidence) / 2)


def student_p(t: float, degrees: float) -> float:
    """The two-sided p-value of a t statistic."""
    return float(2 * stdtr(degrees, -abs(t)))


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """z with P(|X| <= z) = confidence for the standard normal distribution."""
    return float(ndtri((1 + confidence) / 2))


def normal_p(z: float) -> float:
    """The two-sided p-value of a z statistic."""
    return float(2 * ndtr(-abs(z)))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The corrected p-values: each is the least false discovery rate at which it is called (J. R. Stat. Soc. B 57, 1995)."""
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(p_values)] if len(p_values) else []


def max_rate(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Upper end of the one-sided interval of a rate (Clopper and Pearson, Biometrika 26, 1934)."""
    return 1.0 if events == trials else float(betaincinv(events + 1, trials - events, confidence))
