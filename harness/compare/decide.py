"""From measured changes to verdicts: one for each pair, with the number of pairs taken into account.

A change is a ratio of times, new over old, known on a logarithmic scale with a standard error. Two-sided p-values of "no
change" are corrected by Benjamini and Hochberg's procedure (J. R. Stat. Soc. B 57, 1995), so that of all pairs called FASTER or
SLOWER at most 1% are expected to be called so by chance.

SLOWER and FASTER: the change is significant, and the ratio is beyond the threshold. SAME: it is within the threshold, and its
interval excludes a change of EXCLUDED thresholds. Everything else is UNCLEAR. That the whole interval must lie beyond the
threshold is not asked: such a rule finds a slowdown of 5% one time in a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..records import TIMED, Cell
from ..statistics import benjamini_hochberg, normal_p, normal_quantile, student_p, student_quantile, trimmed_mean

Verdict = Literal["SAME", "FASTER", "SLOWER", "UNCLEAR"]

CONFIDENCE = 0.99
EXCLUDED = 5
TRIMMED = 0.1
NOT_RIGHT = ("WRONG", "SUSPECT", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "UNSUPPORTED")
"""What a row that was right must not become."""


@dataclass(frozen=True)
class Change:
    """The ratio of two times, its interval at CONFIDENCE, and the two-sided p-value of "no change"."""

    ratio: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Side:
    """One of the two: the status of its row, why, and the median time of a call in seconds where it has one."""

    status: str
    reason: str | None
    median_s: float | None


@dataclass(frozen=True)
class Pair:
    """One cell, measured twice. backend: what is compared; why_unclear: what forbids a verdict, whatever the numbers say.

    rounds: the ratio in each round of a duel, from which the change was computed.
    """

    cell: Cell
    backend: str
    old: Side
    new: Side
    change: Change | None
    why_unclear: str | None = None
    rounds: tuple[float, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether the row was right and is now not."""
        return self.old.status in TIMED and self.new.status in NOT_RIGHT


@dataclass(frozen=True)
class Decided:
    """A pair with its verdict, the reason of an UNCLEAR one, and the corrected p-value."""

    pair: Pair
    verdict: Verdict
    reason: str | None
    p_adjusted: float | None

    @property
    def bad(self) -> bool:
        """Whether this pair makes the exit code 1."""
        return self.verdict == "SLOWER" or self.pair.broken


def change_of_rounds(ratios: Sequence[float]) -> Change:
    """The change from the median ratio of each of at least two rounds: trimmed mean of their logarithms, Student's interval.

    A round has processes of its own, so what differs from one process to the next (where its pages and its threads lie) differs
    between rounds, and is part of the interval. One round in ten at either end is left out of the mean and drawn in for the
    error, so that one burst of load does not decide (Tukey and McLaughlin, Sankhya A 25, 1963).
    """
    found = trimmed_mean([math.log(r) for r in ratios], TRIMMED)
    reach = float(student_quantile(found.degrees, CONFIDENCE)) * found.error
    p = student_p(found.mean / found.error, found.degrees) if found.error > 0 else float(found.mean == 0)
    return Change(math.exp(found.mean), math.exp(found.mean - reach), math.exp(found.mean + reach), p)


def change_with_error(log_ratio: float, error: float) -> Change:
    """The change from an estimate and its standard error > 0, both logarithmic; a normal interval."""
    reach = normal_quantile(CONFIDENCE) * error
    p = normal_p(log_ratio / error)
    return Change(math.exp(log_ratio), math.exp(log_ratio - reach), math.exp(log_ratio + reach), p)


def decide(pairs: Sequence[Pair], threshold: float) -> list[Decided]:
    """A verdict for each pair. threshold: the least relative change that matters, 0.02 for 2%."""
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
    most = 1 + EXCLUDED * threshold
    if 1 / limit < change.ratio < limit and 1 / most < change.low and change.high < most:
        return Decided(pair, "SAME", None, p)
    return Decided(pair, "UNCLEAR", f"it could be anything from {in_per_cent(change.low)} to {in_per_cent(change.high)}", p)


def why_untimed(pair: Pair) -> str:
    """Which side has no time, and why; that there are too few samples where both have."""
    said = [
        f"{which}: {side.status}" + (f", {side.reason}" if side.reason else "")
        for which, side in (("old", pair.old), ("new", pair.new))
        if side.status not in TIMED
    ]
    return "; ".join(said) or "too few samples to say"


def in_per_cent(ratio: float) -> str:
    """A ratio as a signed change: 1.052 is "+5.2%"."""
    return f"{100 * (ratio - 1):+.1f}%" if ratio < 10 else f"{ratio:.3g} times"
