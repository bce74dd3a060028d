"""What the page shows of a run: its rows by group, the controls that choose a group, and what is left out.

A group is all cells that differ in sequence length and batch size alone. The page's size is limited, so that a browser can open
that of a huge sweep; it says what is left out, and every number is in results.csv.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lstm_parity.harness.records import CELL_COLUMNS

from .data import varying_columns
from .labels import label, phrase

MAX_ROWS = 110_000
MAX_GROUPS = 60
MAX_SIZES = 16
MAX_BACKENDS = 16
SIZES = ("sequence_length", "batch_size")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The n-th letter stands for the n-th backend where a colour alone would not do."""
_FIRST = ("precision", "mode", "hidden_size")


@dataclass(frozen=True)
class Control:
    """A choice that the page offers."""

    column: str
    """One of the columns of a cell."""
    label: str
    options: tuple[str, ...]
    """Its values as text, sorted by value."""


@dataclass(frozen=True, eq=False)
class View:
    """What the page shows of a run."""

    rows: pd.DataFrame
    """The rows that are shown, with the number of their `group`."""
    backends: list[str]
    """In the order of the run, which decides their colours and shapes."""
    timed: list[str]
    """Those of them that have a time."""
    controls: tuple[Control, ...]
    groups: pd.DataFrame
    """By group: the option of each control by column, in_precision, in_mode, and title, which names what sets it apart."""
    start: int
    """The group that is shown first."""
    notes: tuple[str, ...]
    """What was left out."""

    def all_precisions(self, group: int) -> list[int]:
        """The groups that differ from this one in precision alone, and this one."""
        others = self.groups[[c.column for c in self.controls if c.column != "precision"]]
        return [int(g) for g in others.index[(others == others.loc[group]).all(axis=1)]]

    def describe(self, group: int, *, all_precisions: bool) -> list[str]:
        """A group as text, without its precision where all precisions are meant."""
        kind = [str(self.groups[c][group]) for c in ("in_precision", "in_mode")]
        more = [text for text in str(self.groups["title"][group]).split(", ") if text and text not in kind]
        return [*kind[all_precisions:], *more]


def make_view(rows: pd.DataFrame) -> View:
    """Choose what is shown. rows: all of the run."""
    notes: list[str] = []
    kept = _fewer_backends(rows, notes)
    others = [c for c in CELL_COLUMNS if c not in SIZES]
    kept = kept.assign(group=kept.groupby(others, dropna=False, sort=True).ngroup())
    kept = _fewer_groups(kept, notes)
    for axis in SIZES:
        kept = _fewer_sizes(kept, axis, notes)
    kept = kept.assign(group=kept.groupby("group", sort=True).ngroup())
    heads = kept.drop_duplicates("group").sort_values("group").set_index("group")
    controls, choices = _controls(heads)
    titles = [", ".join(c.options[n] if c.column in _FIRST[:2] else _said(c, n) for c, n in zip(controls, line, strict=True))
              for line in choices.itertuples(index=False)]  # fmt: skip
    groups = choices.assign(in_precision=heads["precision"], in_mode=heads["mode"], title=titles)
    timed = kept.loc[kept["timed"], "group"].value_counts().reindex(groups.index, fill_value=0)
    there = set(kept["backend"].unique())
    order = [str(b) for b in rows["backend"].unique() if b in there]
    with_time = [b for b in order if b in set(kept.loc[kept["timed"], "backend"].unique())]
    return View(kept, order, with_time, controls, groups, _first(groups, timed), tuple(notes))


def _first(groups: pd.DataFrame, timed: pd.Series[int]) -> int:
    """The group with the most times, of several the one most often asked for."""
    usual = (groups["in_precision"] == "float32").astype(int) * 2 + (groups["in_mode"] == "inference").astype(int)
    often = usual[timed >= 0.9 * timed.max()]
    return int(often.index[int(often.to_numpy().argmax())])


def middle(values: pd.Series[int]) -> int:
    """Of the sizes with many records the middle one: what is shown first."""
    counts = values.value_counts()
    best = sorted(counts.index[counts >= 0.6 * counts.max()])
    return int(best[len(best) // 2])


def _said(control: Control, option: int) -> str:
    text = control.options[option]
    return f"{control.label} {text}" if text[:1].isdigit() else text


def _controls(heads: pd.DataFrame) -> tuple[tuple[Control, ...], pd.DataFrame]:
    """A control for each column that varies and that no earlier one decides, and the option of each group."""
    differing = [c for c in varying_columns(heads) if c not in SIZES]
    differing.sort(key=lambda c: _FIRST.index(c) if c in _FIRST else len(_FIRST))
    controls: list[Control] = []
    choices = pd.DataFrame(index=heads.index)
    decided: dict[str, list[str]] = {}
    for column in differing:
        by = next((c for c in decided if heads.groupby(c, dropna=False)[column].nunique(dropna=False).max() == 1), None)
        if by is None:
            decided[column] = []
        else:
            decided[by].append(column)
    for column, more in decided.items():
        values = heads[[column, *more]].drop_duplicates(column).sort_values(column)
        words = [_option(column, more, line) for line in values.itertuples(index=False, name=None)]
        controls.append(Control(column, label(column), tuple(words)))
        choices[column] = heads[column].astype(object).map(_key).map({_key(v): n for n, v in enumerate(values[column])})
    return tuple(controls), choices


def _key(value: object) -> object:
    return None if pd.isna(value) else value  # type: ignore[call-overload]


def _option(column: str, more: list[str], line: tuple[object, ...]) -> str:
    first = line[0]
    text = f"{first:,}" if isinstance(first, (int, np.integer)) and not isinstance(first, bool) else phrase(column, first)
    if column in ("precision", "mode"):
        text = str(first)
    return ", ".join([text, *(phrase(c, v) for c, v in zip(more, line[1:], strict=True))])


def _fewer_backends(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    names = list(rows["backend"].unique())
    if len(names) <= MAX_BACKENDS:
        return rows
    times = rows.loc[rows["timed"], "backend"].value_counts()
    kept = sorted(names, key=lambda b: (-int(times.get(b, 0)), names.index(b)))[:MAX_BACKENDS]
    notes.append(f"View: the {MAX_BACKENDS} backends with the most times of {len(names):,}.")
    return rows[rows["backend"].isin(kept)]


def _fewer_groups(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    counts = rows["group"].value_counts(sort=False).sort_index()
    most = min(MAX_GROUPS, max(1, int(MAX_ROWS // counts.clip(upper=MAX_ROWS // 4).mean())))
    if len(counts) <= most:
        return rows
    kept = counts.index[np.linspace(0, len(counts) - 1, most).round().astype(int)]
    notes.append(f"View: {most} of {len(counts):,} combinations of the other settings, evenly spread.")
    return rows[rows["group"].isin(kept)]


def _fewer_sizes(rows: pd.DataFrame, axis: str, notes: list[str]) -> pd.DataFrame:
    """In each group, only MAX_SIZES values of the axis, evenly spread over the sorted ones, first and last among them."""
    pairs = rows[["group", axis]].drop_duplicates().sort_values(["group", axis])
    rank = pairs.groupby("group").cumcount()
    count = pairs.groupby("group")[axis].transform("size")
    if count.max() <= MAX_SIZES:
        return rows
    step = (count - 1) / (MAX_SIZES - 1)
    nearest = ((rank / step.where(count > MAX_SIZES, 1)).round() * step).round()
    kept = pairs[(count <= MAX_SIZES) | (nearest == rank)]
    notes.append(f"View: at most {MAX_SIZES} {label(axis)}s of up to {int(count.max()):,}, evenly spread.")
    return rows.merge(kept, on=["group", axis])
