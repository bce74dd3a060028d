"""The interval of the median against the binomial distribution and against what it promises."""

from math import comb, inf

import numpy as np
import pytest

from lstm_parity.harness.statistics import median_interval, order_statistics


def coverage(count, low, high):
    """The chance that the median lies between these order statistics (ranks from 0), for any continuous distribution."""
    return sum(comb(count, k) for k in range(low + 1, high + 1)) / 2**count


@pytest.mark.parametrize("count", [6, 7, 10, 25, 100, 999, 1001, 5000])
def test_ranks_are_the_tightest_symmetric_pair_that_covers(count):
    low, high = order_statistics(count)
    assert coverage(count, low, high) >= 0.95
    if count <= 1000:
        assert coverage(count, low + 1, high - 1) < 0.95


@pytest.mark.parametrize("count", range(1, 6))
def test_too_few_values_have_no_interval(count):
    assert order_statistics(count) is None
    assert median_interval(np.ones(count)).half_width == inf


def test_interval_covers_the_median_of_a_skewed_distribution():
    rng = np.random.default_rng(5)
    hits = sum(i.low <= np.log(2) <= i.high for i in (median_interval(rng.exponential(size=30)) for _ in range(2000)))
    assert hits / 2000 >= 0.94


def test_half_width_is_relative():
    a, b = median_interval(np.arange(1.0, 31)), median_interval(1e-6 * np.arange(1.0, 31))
    assert a.median == 15.5
    assert a.half_width == pytest.approx(b.half_width)
