"""The page's tables as compact JSON: by group, a list a column; texts once, by number; numbers with six digits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ..sanitize import escape_direction

DIGITS = 6


def packed(table: pd.DataFrame, groups: int) -> dict[str, str]:
    """columns: their names. texts: for a column of text its distinct values. groups: for each group a list of columns.

    As JSON text by key, since a large page is text above all. A missing value is null, a missing text -1.
    """
    columns = [c for c in table.columns if c != "group"]
    texts: dict[str, Sequence[Any]] = {}
    encoded: dict[str, list[str]] = {}
    table = table.sort_values("group", kind="stable")
    for name in columns:
        values = table[name]
        if values.dtype.kind == "O":
            codes, found = pd.factorize(values)
            texts[name] = [escape_direction(str(v)) for v in found]
            encoded[name] = [str(c) for c in codes]
        elif values.dtype == bool:
            encoded[name] = ["1" if v else "0" for v in values]
        else:
            encoded[name] = numbers(values.to_numpy())
    ends = np.searchsorted(table["group"].to_numpy(), np.arange(groups + 1))
    lists = (
        "[" + ",".join(f"[{','.join(encoded[c][a:b])}]" for c in columns) + "]" if b > a else "null" for a, b in pairwise(ends)
    )
    return {"columns": json.dumps(columns), "texts": json.dumps(texts), "groups": "[" + ",".join(lists) + "]"}


def numbers(values: Any) -> list[str]:
    """The numbers as JSON; NaN and infinity, which JSON lacks, are null."""
    if values.dtype.kind in "iu":
        return [str(v) for v in values.tolist()]
    return [f"{v:.{DIGITS}g}" if ok else "null" for v, ok in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)]


def as_object(parts: dict[str, str]) -> str:
    """A JSON object of parts that are JSON."""
    return "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in parts.items()) + "}"


def in_script(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
