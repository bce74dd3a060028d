"""Numbers and names in words: units, digits, and which way a ratio points."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

NOTHING = "–"
"""Stands where there is nothing to say."""

_LABELS = {"num_layers": "layers", "proj_size": "projection size"}
_FLAGS = {
    "bidirectional": ("one direction", "bidirectional"),
    "bias": ("without bias", "with bias"),
    "peephole": ("without peepholes", "with peepholes"),
}
_TEXTS = {"precision": "{}", "mode": "{}", "lengths": "{} lengths", "weights": "{} weights", "cache": "{} cache"}


def label(column: str) -> str:
    """A column's name for people: sequence_length is "sequence length"."""
    return _LABELS.get(column, column.replace("_", " "))


def phrase(column: str, value: Any) -> str:
    """One coordinate of a cell in words: "batch size 8", "bidirectional", "cold cache"."""
    if pd.isna(value):
        return f"{label(column)} unknown"
    if column in _FLAGS:
        return _FLAGS[column][bool(value)]
    return _TEXTS.get(column, f"{label(column)} {{}}").replace("{}", str(value))


def cells(count: int) -> str:
    """The count with its noun: "1 cell", "16 cells"."""
    return f"{count:,} cell{'s' * (count != 1)}"


def significant(value: float, digits: int = 3) -> str:
    """The number rounded to that many significant digits, never in exponents: 0.00123, 1.23, 123, 1234."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    return f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}" if abs(rounded) < 1000 else f"{value:.0f}"


def duration(seconds: Any) -> str:
    """Seconds as three digits and a unit: "1.23 µs", "45.6 ms", "789 s"; may be negative."""
    if pd.isna(seconds):
        return NOTHING
    if seconds == 0:
        return "0 s"
    size = abs(float(f"{seconds:.2e}"))  # rounded first, so that 999.9 µs reads 1.00 ms
    factor, unit = next((f, u) for f, u in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")) if size * f >= 1 or u == "ns")
    return f"{significant(seconds * factor)} {unit}"


def duration_interval(low: Any, high: Any) -> str:
    """An interval of seconds: "1.21 to 1.25 ms", "998 µs to 1.02 ms"."""
    if pd.isna(low) or pd.isna(high):
        return NOTHING
    first, last = duration(low), duration(high)
    return f"{first.split()[0]} to {last}" if first.split()[1] == last.split()[1] else f"{first} to {last}"


def _factor(value: float) -> str:
    """Two decimals, more where they would all be zero, fewer above 10."""
    return significant(value, 3 if abs(value - 1) >= 0.01 or value == 1 else 5)


def ratio(value: Any, low: Any, high: Any, baseline: str) -> str:
    """A ratio (time over the baseline's time) in words that say which way it points.

    Speed is named "faster" only where the 95% interval lies below 1, "slower" only where it lies above.
    """
    if pd.isna(value):
        return NOTHING
    if value < 1:
        direction, value, low, high = "faster", 1 / value, 1 / high, 1 / low
    else:
        direction = "slower"
    if pd.isna(low) or pd.isna(high):
        return f"{_factor(value)}x {direction} than {baseline} (no interval)"
    if low > 1:
        return f"{_factor(value)}x {direction} than {baseline} ({_factor(low)} to {_factor(high)})"
    if direction == "faster":
        value, low, high = 1 / value, 1 / high, 1 / low
    return f"no clear difference: {_factor(value)} of {baseline}'s time ({_factor(low)} to {_factor(high)})"


def size(count: Any) -> str:
    """Bytes in binary units: "512 B", "1.50 MiB"."""
    if pd.isna(count):
        return NOTHING
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count} B" if unit == "B" else f"{significant(value)} {unit}"


def percent(share: Any) -> str:
    """A share as two digits: "34%", "0.12%"."""
    return NOTHING if pd.isna(share) else f"{significant(100 * share, 2) if share < 0.995 else f'{100 * share:.0f}'}%"


def rate(value: float, unit: str) -> str:
    """A rate in decimal units: "197 GFLOP/s", "40.4 GB/s"."""
    factor, prefix = next(
        ((f, p) for f, p in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")) if float(f"{value:.2e}") >= f), (1.0, "")
    )
    return f"{significant(value / factor)} {prefix}{unit}"


def number(value: Any) -> str:
    """A pure number with three digits; in exponents where it is very small or large."""
    if pd.isna(value):
        return NOTHING
    value = float(value)
    return significant(value) if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.2e}"


def brief(value: Any) -> str:
    """A value of a fingerprint on one line: the leaves of nested objects with their names."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {brief(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list):
        return ", ".join(brief(v) for v in value)
    return str(value)
