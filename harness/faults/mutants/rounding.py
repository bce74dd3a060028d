"""Values cut to fewer bits than float32 has."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

KEPT = np.int32(-1 << 13)
"""Sign, exponent and the 10 bits of mantissa that TF32 keeps."""


def tf32_truncated(array: Array) -> Array:
    """float32 values without their last 13 bits; a NaN stays one."""
    values = np.ascontiguousarray(array, np.float32)
    return np.where(np.isnan(values), values, (values.view(np.int32) & KEPT).view(np.float32))


def tf32_rounded(array: Array) -> Array:
    """float32 values rounded to the nearest of TF32, ties to even; a NaN stays one."""
    values = np.ascontiguousarray(array, np.float32)
    bits = values.view(np.int32)
    up = np.int32((1 << 12) - 1) + ((bits >> 13) & 1)
    return np.where(np.isfinite(values), ((bits + up) & KEPT).view(np.float32), values)


def rounded_to(array: Array, dtype: Any) -> Array:
    """Values rounded to another dtype and back."""
    return np.asarray(array.astype(np.dtype(dtype)).astype(array.dtype))
