import math

import pytest

from lstm_parity.reports import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e-6, "1.00 µs"), (1e-9, "1.00 ns"), (2.5e-12, "0.00250 ns"), (1.234e-3, "1.23 ms"), (999.9e-6, "1.00 ms"),
        (0.9996, "1.00 s"), (45.67e-3, "45.7 ms"), (789.4, "789 s"), (1000.0, "1000 s"), (12345.0, "12345 s"),
        (-3.2e-5, "-32.0 µs"), (0.0, "0 s"), (math.nan, "–"), (None, "–"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert words.duration(seconds) == text


def test_interval_shares_a_unit_where_it_can():
    assert words.duration_interval(1.21e-3, 1.25e-3) == "1.21 to 1.25 ms"
    assert words.duration_interval(998e-6, 1.02e-3) == "998 µs to 1.02 ms"
    assert words.duration_interval(math.nan, 1.0) == "–"


@pytest.mark.parametrize(
    ("three", "text"),
    [
        ((1.42, 1.40, 1.45), "1.42x slower than base (1.40 to 1.45)"),
        ((0.5, 0.4, 0.625), "2.00x faster than base (1.60 to 2.50)"),
        ((1.01, 0.98, 1.03), "no clear difference: 1.01 of base's time (0.980 to 1.03)"),
        ((0.97, 0.9, 1.05), "no clear difference: 0.970 of base's time (0.900 to 1.05)"),
        ((1.0, 1.0, 1.0), "no clear difference: 1.00 of base's time (1.00 to 1.00)"),
        ((1.0004, 1.0001, 1.0008), "1.0004x slower than base (1.0001 to 1.0008)"),
        ((2.0, math.nan, math.nan), "2.00x slower than base (no interval)"),
        ((math.nan, 1.0, 1.0), "–"),
    ],
)
def test_ratio_says_which_way(three, text):
    assert words.ratio(*three, "base") == text


def test_phrases():
    assert words.phrase("batch_size", 8) == "batch size 8"
    assert words.phrase("weights", "{}.onnx") == "{}.onnx weights"
    assert words.phrase("bias", False) == "without bias"
    assert words.phrase("launch", None) == "launch unknown"
    assert [words.size(n) for n in (512, 3 << 19, 1 << 40)] == ["512 B", "1.50 MiB", "1.00 TiB"]
    assert [words.number(v) for v in (0, 0.12, 3e-7, 2e9)] == ["0", "0.120", "3.00e-07", "2.00e+09"]
