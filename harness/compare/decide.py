"""From measured changes to verdicts: one per pair, corrected for the number of pairs.

A change is a ratio of times, new over old, with a standard error of its logarithm. The two-sided p-values of "no change" are
corrected by Benjamini and Hochberg's procedure (J. R. Stat. Soc. B 57, 1995), which bounds the expected share of false ones
among all pairs called FASTER or SLOWER by 1%.

SLOWER and FASTER: the change is significant, and the ratio is beyond the threshold. SAME: the ratio is within the threshold,
and its interval excludes a change of EXCLUDED_THRESHOLDS thresholds. Everything else is UNCLEAR. The interval need not lie
beyond the threshold as a whole: a rule that requires it finds a slowdown of 5% one time in a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..records import TIMED, Cell
from ..statistics import benjamini_hochberg, normal_p, normal_quantile, student_p, student_quantile, trimmed_mean
from ..text import relative_change

PairVerdict = Literal["SAME", "FASTER", "SLOWER", "UNCLEAR"]

CONFIDENCE = 0.99
"""Of the interval of a change; 1 - CONFIDENCE is the significance level."""
EXCLUDED_THRESHOLDS = 5
"""A change of so many thresholds must be excluded by the interval of a pair that is SAME."""
TRIMMED = 0.1
"""Share of the rounds that is trimmed at either end."""
BROKEN = ("WRONG", "SUSPECT", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "UNSUPPORTED")
"""Statuses that a row which had a time must not change to."""


@dataclass(frozen=True)
class Change:
    """A ratio of two times, new over old."""

    ratio: float
    low: float
    """Lower end of the interval at CONFIDENCE."""
    high: float
    """Upper end of the interval."""
    p: float
    """Two-sided p-value of "no change"."""


@dataclass(frozen=True)
class Side:
    """One side of a pair."""

    status: str
    """Of its result row."""
    reason: str | None
    """Of that status."""
    median_s: float | None
    """Median time of a call in seconds; None without a time."""


@dataclass(frozen=True)
class Pair:
    """One cell, measured twice."""

    cell: Cell
    backend: str
    """The new side's label in a duel; the backend of both rows in a comparison of runs."""
    old: Side
    new: Side
    change: Change | None
    """None where a side has no time or too few samples."""
    why_unclear: str | None = None
    """Why the change must not be trusted, whatever its numbers are."""
    rounds: tuple[float, ...] = ()
    """The ratio in each round of a duel, from which the change was computed."""

    @property
    def broken(self) -> bool:
        """Whether the old row had a time and the new one failed."""
        return self.old.status in TIMED and self.new.status in BROKEN


@dataclass(frozen=True)
class Decided:
    """A pair with its verdict."""

    pair: Pair
    verdict: PairVerdict
    reason: str | None
    """Of an UNCLEAR one."""
    p_adjusted: float | None
    """The corrected p-value; None where the pair could not be judged."""

    @property
    def bad(self) -> bool:
        """Whether this pair makes the exit code 1."""
        return self.verdict == "SLOWER" or self.pair.broken


def change_of_rounds(ratios: Sequence[float]) -> Change:
    """The change from the median ratio of each of at least two rounds: trimmed mean of their logarithms, Student's interval.

    Each round has new processes, so differences between processes (physical pages, placement of threads) are differences
    between rounds and are part of the interval. One round in ten at either end is trimmed, and winsorized for the error, so
    that a burst of load does not decide (Tukey and McLaughlin, Sankhya A 25, 1963).
    """
    found = trimmed_mean([math.log(r) for r in ratios], TRIMMED)
    half_width = float(student_quantile(found.degrees, CONFIDENCE)) * found.error
    p = student_p(found.mean / found.error, found.degrees) if found.error > 0 else float(found.mean == 0)
    return Change(math.exp(found.mean), math.exp(found.mean - half_width), math.exp(found.mean + half_width), p)


def change_with_error(log_ratio: float, error: float) -> Change:
    """The change from the logarithm of a ratio and its standard error > 0, with a normal interval."""
    half_width = normal_quantile(CONFIDENCE) * error
    p = normal_p(log_ratio / error)
    return Change(math.exp(log_ratio), math.exp(log_ratio - half_width), math.exp(log_ratio + half_width), p)


def decide(pairs: Sequence[Pair], threshold: float) -> list[Decided]:
    """A verdict for each pair. threshold: the smallest relative change that matters, 0.02 for 2%."""
    judged = [k for k, pair in enumerate(pairs) if pair.change is not None and pair.why_unclear is None]
    corrected = dict(zip(judged, benjamini_hochberg([_p(pairs[k]) for k in judged]), strict=True))
    return [_decide(pair, corrected.get(k), threshold) for k, pair in enumerate(pairs)]


def _p(pair: Pair) -> float:
    assert pair.change is not None
    return pair.change.p


def _decide(pair: Pair, p: float | None, threshold: float) -> Decided:
    change = pair.change
    if change is None or p is None:
        return Decided(pair, "UNCLEAR", pair.why_unclear or why_untimed(pair), None)
    significant, limit = p <= 1 - CONFIDENCE, 1 + threshold
    if significant and change.ratio >= limit:
        return Decided(pair, "SLOWER", None, p)
    if significant and change.ratio <= 1 / limit:
        return Decided(pair, "FASTER", None, p)
    excluded = 1 + EXCLUDED_THRESHOLDS * threshold
    if 1 / limit < change.ratio < limit and 1 / excluded < change.low and change.high < excluded:
        return Decided(pair, "SAME", None, p)
    return Decided(
        pair, "UNCLEAR", f"the change is between {relative_change(change.low)} and {relative_change(change.high)}", p
    )


def why_untimed(pair: Pair) -> str:
    """Which side has no time, and why; too few samples if both have one."""
    reasons = [
        f"{which}: {side.status}" + (f", {side.reason}" if side.reason else "")
        for which, side in (("old", pair.old), ("new", pair.new))
        if side.status not in TIMED
    ]
    return "; ".join(reasons) or "too few samples"
