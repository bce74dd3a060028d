import math

import pytest

from lstm_parity.reports import labels


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
    assert labels.ratio(*three, "base") == text


def test_phrases():
    assert labels.phrase("batch_size", 8) == "batch size 8"
    assert labels.phrase("weights", "{}.onnx") == "{}.onnx weights"
    assert labels.phrase("bias", False) == "without bias"
    assert labels.phrase("launch", None) == "launch unknown"
