"""What charts are made from: the rows that the page shows, as tables with derived columns, a line for each row or cell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .data import SelectedRun
from .history import History
from .view import LETTERS, View
from .wins import ALONE, MARGIN, TIE, UNDECIDED, WIN

NONE = "none"
"""The outcome of a cell in which no backend has a time."""
SIZES = {"sequence_length": "steps", "batch_size": "batch"}
"""Columns of a row -> fields of the tables here."""
_CELLS = {
    "median_s": "time", "ci_low_s": "low", "ci_high_s": "high", "floor_s": "floor", "flops": "flops", "bytes": "bytes",
    "effective_bits": "bits", "error_bound_ratio": "bound",
}  # fmt: skip
_ANSWERS = {
    WIN: "{fastest} is fastest, {margin}x faster than {rival}",
    TIE: "no clear winner; {rival} takes {margin} times the time of {fastest}",
    UNDECIDED: "undecided between {fastest} and {rival}: too few blocks with samples of both",
    ALONE: "only {fastest} has a time",
    NONE: "no backend has a time",
}


@dataclass(frozen=True, eq=False)
class Findings:
    """What a report has found in a run."""

    run: SelectedRun
    rows: pd.DataFrame
    """All rows of the run, with ratios over the baseline."""
    baseline: str
    failed: Collection[str]
    """The backends for which the property suite says FAIL."""
    peaks: pd.DataFrame
    view: View
    cells: pd.DataFrame
    """See `cells_table`."""
    wins: pd.DataFrame
    """See `wins_table`."""
    history: History


def cells_table(view: View) -> pd.DataFrame:
    """A line for each row of the view, by group, steps (T) and batch (B).

    backend, precision, status, reason; time, low, high and floor (seconds a call), flops, bytes, bits (effective), bound (error
    over its bound). Derived: step_time (seconds a step), speed (operations a second), reached (floor / time) and over_least
    (time over the least median of the cell).
    """
    rows = view.rows
    table = rows[["group", *SIZES, "backend", "precision", "status", "reason", *_CELLS]].rename(columns=SIZES | _CELLS)
    table[list(_CELLS.values())] = table[list(_CELLS.values())].astype("float64").replace([np.inf, -np.inf], np.nan)
    table = plain(table.sort_values(["group", "steps", "batch"], kind="stable"))
    least = table.groupby(["group", "steps", "batch"])["time"].transform("min")
    return table.assign(
        step_time=table["time"] / table["steps"],
        speed=table["flops"] / table["time"],
        reached=table["floor"] / table["time"],
        over_least=table["time"] / least,
    )


def wins_table(view: View, outcome: pd.DataFrame, failed: Collection[str] = ()) -> pd.DataFrame:
    """A line for each cell: the columns of `wins.contests`, and what the page needs of them.

    field: the fastest backend or the outcome, equal within a field of the map; right, up: whether the next cell at more steps,
    or at a larger batch, has another field; answer: a sentence with names of columns in braces. failed: see Findings.
    """
    cells = view.rows.drop_duplicates("cell")[["cell", "group", *SIZES]].rename(columns=SIZES)
    table = cells.join(outcome, on="cell").drop(columns="cell")
    table["shaky"] = table["shaky"].eq(True)
    table["outcome"] = table["outcome"].fillna(NONE)
    letter = {b: LETTERS[n % len(LETTERS)] for n, b in enumerate(view.backends)}
    key = table["fastest"].map(letter)
    table["field"] = key.where(table["outcome"].isin([WIN, ALONE]), table["outcome"])
    table["right"] = _differs(table, "steps", "batch")
    table["up"] = _differs(table, "batch", "steps")
    table["answer"] = _answers(table, failed)
    fields = ["group", "steps", "batch", "outcome", "fastest", "rival", *MARGIN, "field", "right", "up", "shaky", "answer"]
    return plain(table[fields])


def _answers(table: pd.DataFrame, failed: Collection[str]) -> pd.Series[str]:
    """The template of each cell's answer: few different ones, whatever the number of cells."""
    answer = table["outcome"].map(_ANSWERS)
    answer += np.where(table["margin_low"].notna(), " (95%: {margin_low} to {margin_high}).", ".")
    answer += np.where(table["shaky"], " A time there is UNSTABLE: measure it again before you rely on it.", "")
    wrong = table["fastest"].isin(list(failed))
    return answer + np.where(wrong, " The property suite says FAIL for {fastest}: do not trust its times.", "")


def _differs(table: pd.DataFrame, along: str, across: str) -> pd.Series[bool]:
    """Whether the next cell along that axis, where it was measured, belongs to another field."""
    rank = table.groupby("group")[along].rank("dense")
    ordered = table.assign(rank=rank).sort_values(["group", across, along])
    after = ordered.groupby(["group", across])[["field", "rank"]].shift(-1)
    meets = (after["rank"] == ordered["rank"] + 1) & (after["field"] != ordered["field"])
    return meets.reindex(table.index).fillna(False).astype(bool)


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Plain dtypes: NumPy integers, floats and objects."""
    kinds = {c: "object" if table[c].dtype.name in ("string", "str") else "int64" for c in table.columns
             if table[c].dtype.name in ("string", "str", "Int64")}  # fmt: skip
    return table.astype(kinds).reset_index(drop=True)
