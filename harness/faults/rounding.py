"""Values with fewer bits than their dtype has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from lstm_parity.backends.problem import Array

TF32_SIGNIFICANT = 11
"""Bits of a TF32 significand, the leading one included."""


def tf32_truncated(array: Array) -> Array:
    """Values cut to the significand of TF32, in their own dtype."""
    return _significand(array, np.trunc)


def tf32_rounded(array: Array) -> Array:
    """Values rounded to the significand of TF32, ties to even, in their own dtype."""
    return _significand(array, np.rint)


def _significand(array: Array, cut: Callable[[Array], Array]) -> Array:
    fraction, exponent = np.frexp(array)
    scale = array.dtype.type(2**TF32_SIGNIFICANT)
    return np.asarray(np.ldexp(cut(fraction * scale) / scale, exponent))


def rounded_to(array: Array, dtype: Any) -> Array:
    """Values rounded to another dtype and back."""
    return np.asarray(array.astype(np.dtype(dtype)).astype(array.dtype))


def to_float16(array: Array) -> Array:
    """Values rounded to float16 and back."""
    return rounded_to(array, np.float16)


def to_bfloat16(array: Array) -> Array:
    """Values rounded to bfloat16 and back."""
    return rounded_to(array, ml_dtypes.bfloat16)


def to_float32(array: Array) -> Array:
    """Values rounded to float32 and back."""
    return rounded_to(array, np.float32)
