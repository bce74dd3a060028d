"""Which rounding explains a result that is less precise than promised?

The equations are evaluated again with one quantity rounded and everything else exact. If that brings all runs within the
promised precision, the backend rounds that quantity. If nothing does, or too much, no name is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from lstm_parity.backends.problem import Array

from ...problems.problem import Problem
from ..results import Results
from .promise import NOTHING, AssumedRounding, Rounding, bits_lost

EXPLAINED = 1.5
"""Bits that may still be lost under the right assumption: the reference itself is rounded in float64."""


def _kept(bits: int, whole: Rounding) -> Rounding:
    """To this many bits of mantissa, the leading one included; `whole` rounds to whole numbers."""

    def rounded(array: Array) -> Array:
        mantissa, exponent = np.frexp(array)
        return np.asarray(np.ldexp(whole(np.ldexp(mantissa, bits)), exponent - bits))

    return rounded


def _stored(dtype: Any) -> Rounding:
    # through float32, as hardware does
    return lambda array: np.asarray(array.astype(np.float32).astype(np.dtype(dtype)).astype(np.float64))


FORMATS: dict[str, tuple[tuple[Rounding, ...], frozenset[str]]] = {
    "float32": ((_stored(np.float32),), frozenset({"float64"})),
    "TF32": ((_kept(11, np.rint), _kept(11, np.trunc)), frozenset({"float64", "float32"})),
    "float16": ((_stored(np.float16),), frozenset({"float64", "float32", "tf32", "bfloat16"})),
    "bfloat16": ((_stored(ml_dtypes.bfloat16),), frozenset({"float64", "float32", "tf32", "float16"})),
}
"""Formats, how each may be rounded to, and the precisions whose promise that breaks."""

PLACES = {
    "the operands of the products are": ("x", "W", "h'", "U"),
    "the operands of W x are": ("x", "W"),
    "the operands of U h' are": ("h'", "U"),
    "the weights are": ("W", "U"),
    "x and h' are": ("x", "h'"),
    "x is": ("x",),
    "h' is": ("h'",),
    "W is": ("W",),
    "U is": ("U",),
    "c is": ("c",),
    "c0 is": ("c0",),
    "all four gates are": ("gates", "g"),
    "i, f and o are": ("gates",),
    "h is": ("h",),
}


def name_rounding(runs: Sequence[tuple[Problem, Results]], activation_ulps: float) -> str | None:
    """What is rounded to what, as in "the weights are rounded to TF32"; None where no single name explains all runs."""

    def explains(assumed: AssumedRounding) -> bool:
        return all(bits_lost(problem, results, activation_ulps, assumed) <= EXPLAINED for problem, results in runs)

    if explains(AssumedRounding(NOTHING.places, NOTHING.rounding)):  # few elements are wrong: not every one is rounded
        return None
    promise = runs[0][0].spec.precision
    for what, places in PLACES.items():
        found = [
            name
            for name, (ways, broken) in FORMATS.items()
            if promise in broken and any(explains(AssumedRounding(frozenset(places), way)) for way in ways)
        ]
        if found:
            return f"{what} rounded to {' or '.join(found)}"
    return None
