"""Monte Carlo arithmetic: its errors have the size of the precision's roundoff."""

import numpy as np
import pytest

from lstm_parity.harness.oracle.noise import NoisyArithmetic, truncated
from lstm_parity.harness.oracle.roundoff import ROUNDOFF

VALUES = np.random.default_rng(1).normal(0, 1, (200, 300))


def noisy(precision, **options):
    return NoisyArithmetic(kind=ROUNDOFF[precision], rng=np.random.default_rng(2), **options)


@pytest.mark.parametrize("precision", ROUNDOFF)
def test_the_maximum_error_of_one_rounding_is_the_roundoff(precision):
    kind = ROUNDOFF[precision]
    for hook, roundoff in (("rounded", max(kind.arithmetic, kind.inside)), ("stored", kind.storage)):
        error = (getattr(noisy(precision), hook)(VALUES) - VALUES) / VALUES
        large = np.abs(VALUES) > 0.5
        own = 2.0**-52
        assert 0.95 * roundoff - own < np.abs(error[large]).max() < 1.001 * roundoff + kind.tiny / 0.5 + own
        assert abs(error[large].mean()) < 0.05 * roundoff + own


def test_the_error_of_an_activation_is_absolute():
    error = noisy("float32", activation=1e-3).activated(np.zeros((100, 100)))
    assert 0.95e-3 < np.abs(error).max() < 1.01e-3


@pytest.mark.parametrize("precision", ROUNDOFF)
def test_the_error_of_a_product_depends_on_its_terms(precision):
    kind, b = ROUNDOFF[precision], VALUES.T @ np.diag(np.linspace(0.1, 1, 200))
    error = noisy(precision).product(VALUES, b) - VALUES @ b
    size = np.sqrt(np.square(VALUES) @ np.square(b))
    blur = kind.arithmetic * np.sqrt(300) + np.sqrt(2) * kind.operands
    most = blur * size + kind.inside * np.abs(VALUES @ b)
    own = 1 if precision == "float64" else 0  # float64's own errors are added to the drawn ones, and no larger
    assert 0.9 < (np.abs(error) / most).max() < 1.1 + own


def test_truncated_operands_pull_every_product_towards_zero():
    a, b = np.abs(VALUES), np.abs(VALUES.T)
    exact = a @ b
    for one_way, least, most in ((True, -(2.0**-9), -(2.0**-11)), (False, -(2.0**-13), 2.0**-13)):
        pull = (noisy("tf32", one_way=one_way).product(a, b) / exact - 1).mean()
        assert least < pull < most
    assert np.abs(noisy("float32", one_way=True).product(a, b) / exact - 1).max() < 2.0**-18


def test_cached_squares_of_one_operand_are_not_used_for_another():
    arithmetic = noisy("float64")
    for seed in range(5):
        a = np.random.default_rng(seed).normal(0, 10.0**seed, (20, 30))
        for m in (a, a.T):
            b = np.ones((m.shape[1], 3))
            error = arithmetic.product(m, b) - m @ b
            size = np.sqrt(m.shape[1]) * 2.0**-53 * np.sqrt(np.square(m) @ b)
            assert 0.5 < (np.abs(error) / size).max() < 3
            assert np.array_equal(arithmetic._prepared(m)[1], np.square(m))


def test_truncation_keeps_the_ten_bits_of_tf32():
    a = VALUES.astype(np.float32)
    cut = (a.view(np.int32) & np.int32(-1 << 13)).view(np.float32)
    assert np.array_equal(truncated(a.astype(np.float64)), cut)


def test_errors_of_activations_may_have_the_same_sign_at_every_step():
    one_way = noisy("float32", one_way=True, activation=4 * 2.0**-24)
    zero = np.zeros((3, 4))
    first, second = ([one_way.activated(zero) for _ in range(5)] for _ in range(2))
    for before, after in zip(first, second, strict=True):
        assert np.array_equal(np.sign(before), np.sign(after))
        assert np.allclose(np.abs(before), 4 * 2.0**-24, rtol=1e-6)
    assert len({np.sign(array).tobytes() for array in first}) > 1
    blurred = noisy("float32", activation=4 * 2.0**-24)
    assert not np.array_equal(blurred.activated(zero), blurred.activated(zero))
