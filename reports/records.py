"""The records behind the charts: plain columns, one line a row or a cell, by group."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .chart_parts import KEYS, Feed
from .drawn import Drawn
from .frame import RATIO_COLUMNS
from .ratios import with_baseline
from .wins import MARGIN, WIN

NONE = "none"
"""The outcome of a cell in which no backend has a time."""
MOST_RATIOS = 30_000
"""With no more ratios than this, those over every backend are computed and shown, else those over the baseline alone."""
_SIZES = {"sequence_length": "steps", "batch_size": "batch"}
_CELLS = {
    "median_s": "time", "ci_low_s": "low", "ci_high_s": "high", "floor_s": "floor", "flops": "flops", "bytes": "bytes",
    "effective_bits": "bits", "error_bound_ratio": "bound",
}  # fmt: skip


def cells_table(drawn: Drawn) -> pd.DataFrame:
    """Every row: its sizes, backend, status, time with interval, the floor, and what was found out about its precision."""
    rows = drawn.rows
    table = rows[["group", *_SIZES, "backend", "precision", "status", "reason", *_CELLS]].rename(columns=_SIZES | _CELLS)
    table[list(_CELLS.values())] = table[list(_CELLS.values())].astype("float64").replace([np.inf, -np.inf], np.nan)
    return _plain(table.sort_values(["group", "steps", "batch"], kind="stable"))


def wins_table(drawn: Drawn, outcome: pd.DataFrame) -> pd.DataFrame:
    """Every cell: who is fastest and by what margin, where its field meets another one: `right` (at more steps), `up`."""
    cells = drawn.rows.drop_duplicates("cell")[["cell", "group", *_SIZES]].rename(columns=_SIZES)
    table = cells.join(outcome, on="cell").drop(columns="cell")
    table["shaky"] = table["shaky"].eq(True)
    table["outcome"] = table["outcome"].fillna(NONE)
    letter = {b: KEYS[n % len(KEYS)] for n, b in enumerate(drawn.backends)}
    key = table["fastest"].map(letter)
    table["field"] = key.where(table["outcome"].isin([WIN, "alone"]), table["outcome"])
    table["right"] = _differs(table, "steps", "batch")
    table["up"] = _differs(table, "batch", "steps")
    return _plain(table[["group", "steps", "batch", "outcome", "fastest", "rival", *MARGIN, "field", "right", "up", "shaky"]])


def ratios_table(samples: pd.DataFrame, drawn: Drawn, baseline: str) -> pd.DataFrame:
    """The time of each backend over each other one's (over the baseline's alone in a large run), with its interval."""
    shown = drawn.rows
    bases = drawn.backends if int(shown["timed"].sum()) * (len(drawn.backends) - 1) <= MOST_RATIOS else [baseline]
    parts = []
    for base in bases:
        over = shown if base == baseline else _turned(with_baseline(shown, samples, base), shown, base, baseline)
        part = over[over["timed"] & (over["backend"] != base) & over["ratio_to_baseline"].notna()]
        parts.append(part.assign(base=base))
    both = pd.concat(parts).rename(columns=_SIZES | dict(zip(RATIO_COLUMNS, ("ratio", "low", "high"), strict=True)))
    return _plain(both[["group", "steps", "batch", "backend", "base", "ratio", "low", "high", "status"]])


def _turned(over: pd.DataFrame, shown: pd.DataFrame, base: str, baseline: str) -> pd.DataFrame:
    """Ratios over another base, where the baseline's are the base's own of the rows, turned round: a pair has one ratio."""
    mine = shown[(shown["backend"] == base) & shown[list(RATIO_COLUMNS)].notna().all(axis=1)].set_index("cell")
    theirs = (over["backend"] == baseline) & over["cell"].isin(mine.index)
    own = mine.loc[over.loc[theirs, "cell"], list(RATIO_COLUMNS)].to_numpy(dtype="float64")
    over.loc[theirs, list(RATIO_COLUMNS)] = 1 / own[:, [0, 2, 1]]
    return over


def chosen(table: pd.DataFrame, feed: Feed, drawn: Drawn, group: int, held: dict[str, object]) -> pd.DataFrame:
    """The records that a chart gets: those of a group, at the held values."""
    groups = alike(drawn, group) if feed.across else [0] if feed.everywhere else [group]
    keep = table["group"].isin(groups)
    for field in feed.held:
        keep &= table[field] == held[field]
    return table[keep].drop(columns="group")


def alike(drawn: Drawn, group: int) -> list[int]:
    """The groups that differ from this one in precision alone, itself among them."""
    others = drawn.groups[[c.column for c in drawn.controls if c.column != "precision"]]
    return [int(g) for g in others.index[(others == others.loc[group]).all(axis=1)]]


def _differs(table: pd.DataFrame, along: str, across: str) -> pd.Series[bool]:
    """Whether the next cell along that axis, where it was measured, belongs to another field."""
    rank = table.groupby("group")[along].rank("dense")
    ordered = table.assign(rank=rank).sort_values(["group", across, along])
    after = ordered.groupby(["group", across])[["field", "rank"]].shift(-1)
    meets = (after["rank"] == ordered["rank"] + 1) & (after["field"] != ordered["field"])
    return meets.reindex(table.index).fillna(False).astype(bool)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Plain dtypes: NumPy integers, floats and objects."""
    kinds = {c: "object" if table[c].dtype.name in ("string", "str") else "int64" for c in table.columns
             if table[c].dtype.name in ("string", "str", "Int64")}  # fmt: skip
    return table.astype(kinds).reset_index(drop=True)
