"""The number formats and the tile of matrix multiply-accumulate agree with numpy's and ml_dtypes'."""

import ml_dtypes
import numpy as np
import pytest

pytestmark = pytest.mark.deep

STORAGE = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16), "tf32": np.dtype(np.float32)}
SIXTEEN_BITS = ("float16", "bfloat16")


def convert(bench, kernel, precision, values, dtype):
    result = np.zeros(values.size, dtype)
    bench.launch("numbers", kernel, 1, 32, [values, result, values.size], precision=precision, detect=False)
    return result


def assert_same(narrow, expected):
    """The same bits, except that NaN need only be NaN, of the same sign."""
    nan = np.isnan(expected.astype(np.float32))
    bits, expected_bits = narrow.view(np.uint16), expected.view(np.uint16)
    np.testing.assert_array_equal(bits[~nan], expected_bits[~nan])
    assert np.isnan(narrow.astype(np.float32))[nan].all()
    np.testing.assert_array_equal(bits[nan] >> 15, expected_bits[nan] >> 15)


@pytest.mark.parametrize("precision", SIXTEEN_BITS)
def test_all_patterns_of_16_bits(bench, precision):
    patterns = np.arange(2**16, dtype=np.uint16).view(STORAGE[precision])
    wide = convert(bench, "widen_all", precision, patterns, np.float32)
    expected = patterns.astype(np.float32)
    nan = np.isnan(expected)
    np.testing.assert_array_equal(wide[~nan].view(np.uint32), expected[~nan].view(np.uint32))
    assert np.isnan(wide[nan]).all()
    assert_same(convert(bench, "narrow_all", precision, wide, STORAGE[precision]), patterns)


@pytest.mark.parametrize("precision", SIXTEEN_BITS)
def test_floats_are_rounded_to_nearest_even(bench, precision):
    rng = np.random.default_rng(7)
    drawn = rng.integers(0, 2**32, 300_000, dtype=np.uint32).view(np.float32)
    every = np.arange(2**16, dtype=np.uint16).view(STORAGE[precision]).astype(np.float32)
    every = every[np.isfinite(every)]
    with np.errstate(over="ignore"):
        middles = (
            every.astype(np.float64)
            + np.nextafter(every.astype(STORAGE[precision]), STORAGE[precision].type(np.inf)).astype(np.float64)
        ) / 2
        middles = middles.astype(np.float32)
    middles = middles[np.isfinite(middles)]
    near = np.concatenate([middles, np.nextafter(middles, np.float32(np.inf)), np.nextafter(middles, np.float32(-np.inf))])
    values = np.concatenate([drawn, near, np.float32([65504, 65519.996, 65520, 3.4e38, np.inf, -np.inf, np.nan, -0.0, 1e-45])])
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(STORAGE[precision])
    assert_same(convert(bench, "narrow_all", precision, values, STORAGE[precision]), expected)


@pytest.mark.parametrize(("precision", "dtype"), [("float64", np.float64), ("float32", np.float32)])
def test_functions(bench, precision, dtype):
    x = np.concatenate([np.linspace(-20, 20, 1001), [100, -100, 800, -800, np.inf, -np.inf]]).astype(dtype)
    y = np.zeros((3, x.size), dtype)
    bench.launch("numbers", "functions", 1, 32, [x, y, x.size], precision=precision)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_allclose(y[0], np.exp(x), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(y[1], np.tanh(x), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(y[2], x * x + np.tanh(x), rtol=2 * np.finfo(dtype).eps, atol=2 * np.finfo(dtype).eps)


def truncated(values, precision):
    if precision == "tf32":
        values = (values.view(np.uint32) & 0xFFFFE000).view(np.float32)
    return values.astype(np.float64)


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("depth", [16, 48])
def test_a_tile_of_a_matrix_product(bench, precision, depth):
    rng = np.random.default_rng(depth)
    a, b = (rng.normal(size=(n, depth)).astype(STORAGE[precision]) for n in (16, 8))
    for schedule in bench.schedules:
        start = rng.normal(size=(2, 16, 8)).astype(np.float32)
        c = start.copy()
        bench.launch("numbers", "tile", 1, 64, [a, b, c, depth], precision=precision, schedule=schedule)
        expected = start + truncated(a, precision) @ truncated(b, precision).T
        np.testing.assert_allclose(c, expected, rtol=1e-6, atol=1e-6)
        exact = np.eye(16, depth, dtype=np.float32).astype(STORAGE[precision])
        c = np.zeros((2, 16, 8), np.float32)
        bench.launch("numbers", "tile", 1, 64, [exact, b, c, depth], precision=precision, schedule=schedule)
        np.testing.assert_array_equal(c[0], truncated(b, precision)[:, :16].T)


@pytest.mark.parametrize("precision", STORAGE)
def test_a_tile_needs_all_lanes(bench, precision):
    for schedule in bench.schedules:
        for detect in (True, False):
            options = {"precision": precision, "schedule": schedule, "detect": detect}
            findings = bench.find("numbers", "missing_lane", 1, 32, [np.zeros(32, np.float32)], **options)
            assert {finding.kind for finding in findings} == {"warp"}
            assert {finding.line for finding in findings} == {bench.line("numbers", "without lane 3")}
            assert bench.find("numbers", "whole_block", 1, 64, [np.zeros(64, np.float32)], **options) == ()
            (finding,) = bench.find("numbers", "whole_block", 1, 40, [np.zeros(40, np.float32)], **options)
            assert (finding.kind, finding.line) == ("warp", bench.line("numbers", "the whole block"))
