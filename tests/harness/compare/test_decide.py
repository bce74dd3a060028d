"""Verdicts from changes: what makes a pair SLOWER, FASTER, SAME or UNCLEAR, and how many pairs are too many to believe one."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_parity.harness.compare.decide import Change, Pair, Side, change_of_rounds, change_with_error, decide
from lstm_parity.harness.records import Cell

RIGHT, WRONG = Side("PASSED", None, 1e-3), Side("WRONG", "y is first wrong at step 0", None)


def pair(change=None, old=RIGHT, new=RIGHT, why=None):
    return Pair(Cell(), "b", old, new, change, why)


def verdict_of(ratio, low, high, p=1e-9, threshold=0.02):
    return decide([pair(Change(ratio, low, high, p))], threshold)[0].verdict


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ((1.05, 1.03, 1.07), "SLOWER"),
        ((1.02, 1.001, 1.04), "SLOWER"),  # the interval need not lie beyond the threshold
        ((1.019, 1.01, 1.03), "SAME"),  # significant, but less than matters
        ((1 / 1.05, 0.93, 0.97), "FASTER"),
        ((1 / 1.02, 0.95, 0.999), "FASTER"),
        ((1.05, 0.99, 1.11, 0.02), "UNCLEAR"),
        ((1.0, 0.95, 1.05, 1.0), "SAME"),
        ((1.0, 0.95, 1.11, 1.0), "UNCLEAR"),
        ((1.0, 0.90, 1.05, 1.0), "UNCLEAR"),
    ],
)
def test_the_rule(change, verdict):
    assert verdict_of(*change) == verdict
    ratio, low, high, *p = change
    turned = {"SLOWER": "FASTER", "FASTER": "SLOWER"}.get(verdict, verdict)
    assert verdict_of(1 / ratio, 1 / high, 1 / low, *p) == turned


def test_the_threshold_is_the_callers():
    assert verdict_of(1.05, 1.03, 1.07, threshold=0.1) == "SAME"
    assert verdict_of(1.005, 1.003, 1.007, threshold=0.004) == "SLOWER"


def test_one_small_p_among_many_pairs_is_no_finding():
    slow, same = Change(1.05, 1.01, 1.09, 0.004), Change(1.0, 0.97, 1.03, 0.9)
    assert decide([pair(slow)], 0.02)[0].verdict == "SLOWER"
    among = decide([pair(slow), *[pair(same)] * 20], 0.02)
    assert among[0].verdict == "UNCLEAR"
    assert among[0].p_adjusted == pytest.approx(0.084)
    assert decide([pair(slow)] * 21, 0.02)[0].verdict == "SLOWER"  # nor do many small ones hide each other


def test_pairs_that_cannot_be_judged_do_not_count_among_the_pairs():
    slow = Change(1.05, 1.01, 1.09, 0.004)
    judged = decide([pair(slow), *[pair(slow, why="the machine changed")] * 20, *[pair(None)] * 20], 0.02)
    assert [d.verdict for d in judged] == ["SLOWER"] + ["UNCLEAR"] * 40
    assert judged[1].reason == "the machine changed"


def test_a_row_that_was_right_and_is_not_is_bad_whatever_its_time():
    judged = decide([pair(None, new=WRONG)], 0.02)[0]
    assert (judged.verdict, judged.pair.broken, judged.bad) == ("UNCLEAR", True, True)
    assert judged.reason == "new: WRONG, y is first wrong at step 0"
    for old, new in ((WRONG, WRONG), (WRONG, RIGHT), (RIGHT, Side("UNAVAILABLE", "no GPU", None))):
        assert not decide([pair(None, old=old, new=new)], 0.02)[0].bad
    assert decide([pair(Change(1.05, 1.03, 1.07, 0.0))], 0.02)[0].bad
    assert not decide([pair(Change(0.9, 0.88, 0.92, 0.0))], 0.02)[0].bad


def test_the_interval_of_an_error():
    change = change_with_error(math.log(1.05), 0.01)
    assert change.ratio == pytest.approx(1.05)
    assert math.log(change.high / change.ratio) == pytest.approx(2.5758 * 0.01, rel=1e-4)
    assert change.p == pytest.approx(1.07e-6, rel=0.01)


ROUNDS = st.lists(st.floats(0.2, 5.0), min_size=4, max_size=20)


@given(ROUNDS)
def test_to_exchange_the_sides_is_to_take_the_reciprocal(ratios):
    there, back = change_of_rounds(ratios), change_of_rounds([1 / r for r in ratios])
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high)
    assert there.p == pytest.approx(back.p, abs=1e-9)
    assert there.low <= there.ratio <= there.high


@given(ROUNDS, st.floats(0.5, 2.0))
def test_a_common_factor_goes_through(ratios, factor):
    one, other = change_of_rounds(ratios), change_of_rounds([factor * r for r in ratios])
    assert other.ratio == pytest.approx(factor * one.ratio)
    assert other.high == pytest.approx(factor * one.high)


@pytest.mark.parametrize("scatter", [0.01, 0.05])
def test_without_a_change_one_in_a_hundred_intervals_misses(scatter):
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(2000):
        change = change_of_rounds(np.exp(rng.normal(0.0, scatter, 10)).tolist())
        missed += not change.low <= 1 <= change.high
    assert 5 <= missed <= 40  # 20 expected


def test_one_wild_round_decides_nothing():
    calm = [1.05, 1.06, 1.05, 1.04, 1.05, 1.06, 1.04, 1.05, 1.05]
    for wild in (3.0, 0.3):
        change = change_of_rounds([*calm, wild])
        assert change.ratio == pytest.approx(1.05, abs=0.01)
        assert decide([pair(change)], 0.02)[0].verdict == "SLOWER"
    assert decide([replace(pair(change_of_rounds([1.0] * 9 + [9.0])))], 0.02)[0].verdict == "SAME"
