"""Arrays as readable Python source that evaluates to the same bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

COLUMNS = 110
"""Lines are wrapped here."""


def array_source(array: Array, indent: int = 0) -> str:
    """np.array([...], dtype=...) for an array of floats or integers; a NaN's payload is lost. indent: of its first line."""
    dtype = dtype_source(array.dtype)
    if array.size == 0:
        return f"np.zeros({array.shape}, dtype={dtype})"
    line = f"np.array({_in_line(array)}, dtype={dtype})"
    if indent + len(line) <= COLUMNS:
        return line
    return f"np.array(\n{_block(array, indent + 4)},\n{' ' * (indent + 4)}dtype={dtype},\n{' ' * indent})"


def number_source(value: Any) -> str:
    """The shortest decimal that is this value of its dtype."""
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    wide = float(value)
    if math.isnan(wide):
        return "np.nan"
    if math.isinf(wide):
        return "np.inf" if wide > 0 else "-np.inf"
    dtype = np.asarray(value).dtype
    for digits in range(1, 18):
        text = f"{wide:.{digits}g}"
        with np.errstate(over="ignore"):  # few digits may round past the largest number
            if np.array(float(text)).astype(dtype).tobytes() == np.asarray(value).tobytes():
                break
    return text if any(c in text for c in ".e") else f"{text}.0"


def dtype_source(dtype: np.dtype[Any]) -> str:
    """np.float32 and the like, ml_dtypes.bfloat16."""
    return f"ml_dtypes.{dtype}" if dtype.name == "bfloat16" else f"np.{dtype}"


def _in_line(array: Array) -> str:
    if array.ndim == 0:
        return number_source(array[()])
    return "[" + ", ".join(_in_line(part) for part in array) + "]"


def _block(array: Array, indent: int) -> str:
    """The nested list, all lines indented; one element of the first axis a line, where that fits."""
    space, line = " " * indent, _in_line(array)
    if array.ndim > 0 and array.size and indent + len(line) < COLUMNS and array.ndim < 3:
        return space + line
    if array.ndim > 1:
        return f"{space}[\n" + ",\n".join(_block(part, indent + 4) for part in array) + f",\n{space}]"
    lines, row = [], ""
    for number in (number_source(v) for v in array):
        if row and indent + 4 + len(row) + len(number) + 2 > COLUMNS:
            lines.append(row)
            row = ""
        row += f"{' ' * bool(row)}{number},"
    lines.append(row)
    inner = " " * (indent + 4)
    return f"{space}[\n" + "\n".join(inner + one for one in lines) + f"\n{space}]"
