"""The statistics against their definitions, in exact integers and by hand, and against printed tables."""

import math
from fractions import Fraction
from statistics import fmean, stdev

import numpy as np
import pytest

from lstm_parity.harness.records import RawSample
from lstm_parity.harness.statistics import (
    benjamini_hochberg,
    block_ratios,
    max_rate,
    median_interval,
    median_ranks,
    normal_p,
    normal_quantile,
    student_p,
    student_quantile,
    trimmed_mean,
)


def rank_in_integers(n):
    """The largest k for which the median is outside the k-th smallest and the k-th largest with at most 5%."""
    below = k = 0
    while 40 * (below + math.comb(n, k)) <= 2**n:
        below += math.comb(n, k)
        k += 1
    return k


def test_ranks_are_the_tightest_that_enclose_the_median_with_95_percent():
    counts = [*range(1, 400), 500, 1000, 1001, 5000]
    assert median_ranks(counts).tolist() == [rank_in_integers(n) for n in counts]


@pytest.mark.parametrize("count", range(1, 6))
def test_too_few_values_have_no_interval(count):
    assert median_ranks(count) == 0
    assert median_interval(np.ones(count)).half_width == math.inf


def test_interval_covers_the_median_of_a_skewed_distribution():
    rng = np.random.default_rng(5)
    hits = sum(i.low <= np.log(2) <= i.high for i in (median_interval(rng.exponential(size=30)) for _ in range(2000)))
    assert 0.94 <= hits / 2000 <= 0.98  # of 30 values, the tenth from either end: 95.7%


def test_half_width_is_relative():
    a, b = median_interval(np.arange(1.0, 31)), median_interval(1e-6 * np.arange(1.0, 31))
    assert (a.low, a.median, a.high) == (10, 15.5, 21)
    assert a.half_width == pytest.approx(5.5 / 15.5)
    assert b.half_width == pytest.approx(a.half_width)


def test_ratios_are_taken_within_blocks_in_which_both_count():
    ours = [RawSample(block, 0, 1, 2.0 + block, None, None, block != 2) for block in (0, 1, 2, 3)]
    theirs = [RawSample(block, 1, 1, 9.0, 2.0, None, block != 1) for block in (3, 2, 1, 0)]
    assert block_ratios(ours, theirs).tolist() == [1.0, 2.5]


def test_student_against_the_printed_tables():
    for degrees, value in {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 10: 2.2281, 30: 2.0423, 120: 1.9799}.items():
        assert student_quantile(degrees) == pytest.approx(value, abs=5e-5)
    for degrees, value in ((1, 63.657), (2, 9.925), (5, 4.032), (9, 3.250), (30, 2.750)):
        assert student_quantile(degrees, 0.99) == pytest.approx(value, abs=5e-4)
        assert student_p(-value, degrees) == pytest.approx(0.01, abs=1e-5)


def test_normal_against_the_printed_tables():
    assert (normal_quantile(), normal_quantile(0.99)) == pytest.approx((1.959964, 2.575829), abs=5e-7)
    assert normal_p(2.575829) == normal_p(-2.575829) == pytest.approx(0.01, abs=1e-7)


def test_benjamini_and_hochberg_by_its_definition():
    rng = np.random.default_rng(0)
    assert benjamini_hochberg([]) == []
    for n in (1, 2, 7, 50):
        p = rng.uniform(0, 1, n) ** 3
        found = benjamini_hochberg(p.tolist())
        for q in (0.01, 0.05, 0.3):  # the step-up rule itself
            ranked = np.sort(p)
            passing = np.nonzero(ranked <= q * np.arange(1, n + 1) / n)[0]
            limit = ranked[passing[-1]] if len(passing) else -1.0
            assert [a <= q for a in found] == [x <= limit for x in p]


@pytest.mark.parametrize(("events", "trials"), [(0, 300), (3, 324), (59, 60), (60, 60)])
def test_a_rate_is_at_most_that_at_which_so_few_events_have_a_chance_of_5_percent(events, trials):
    rate = Fraction(max_rate(events, trials))
    chance = sum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(events + 1))
    assert (rate == 1) if events == trials else float(chance) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("count", [4, 9, 10, 20, 35])
def test_a_trimmed_mean_and_its_error(count):
    values = np.random.default_rng(count).normal(size=count).tolist()
    cut = count // 10
    ordered = sorted(values)
    kept = ordered[cut : count - cut]
    found = trimmed_mean(values, 0.1)
    assert found.mean == pytest.approx(fmean(kept))
    drawn_in = [kept[0]] * cut + kept + [kept[-1]] * cut
    assert found.error == pytest.approx(stdev(drawn_in) * math.sqrt((count - 1) / (len(kept) * (len(kept) - 1))))
    assert found.degrees == len(kept) - 1
