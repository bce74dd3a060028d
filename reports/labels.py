"""Labels of columns and values, and ratios as text that says which one is faster."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from lstm_parity.harness.text import MISSING, count_of, significant

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
    """One coordinate of a cell: "batch size 8", "bidirectional", "cold cache"."""
    if pd.isna(value):
        return f"{label(column)} unknown"
    if column in _FLAGS:
        return _FLAGS[column][bool(value)]
    return _TEXTS.get(column, f"{label(column)} {{}}").replace("{}", str(value))


def cells(count: int) -> str:
    """The count with its noun: "1 cell", "16 cells"."""
    return count_of(count, "cell")


def _factor(value: float) -> str:
    """Two decimals, more where they would all be zero, fewer above 10."""
    return significant(value, 3 if abs(value - 1) >= 0.01 or value == 1 else 5)


def ratio(value: Any, low: Any, high: Any, baseline: str) -> str:
    """A ratio (time over the baseline's): "faster" where the 95% interval is below 1, "slower" where it is above."""
    if pd.isna(value):
        return MISSING
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


def brief(value: Any) -> str:
    """A value of a fingerprint on one line: the leaves of nested objects with their names."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {brief(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list):
        return ", ".join(brief(v) for v in value)
    return str(value)


def listed(items: list[str], most: int = 3) -> str:
    """The first items and the number of the others: "a, b and 4 more"."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def slug(text: str) -> str:
    """The text as a file name: lower-case letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
