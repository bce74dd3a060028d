"""What there is to see in a chart of times: who leads at both ends, where the lead changes, how the times grow."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import NamedTuple

import pandas as pd

from .chart_parts import listed
from .wins import ALONE, WIN
from .words import duration, percent, significant

BAD = ("WRONG", "SUSPECT", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY")
"""Statuses without a time that a chart of times marks."""
SIZE = {"steps": "sequence length", "batch": "batch size"}
LETTER = {"steps": "T", "batch": "B"}


class Point(NamedTuple):
    """A time in a chart. group, held: which chart; size: where on its axis; reached: the share of the floor, or NaN."""

    group: int
    held: int
    size: int
    value: float
    backend: str
    reached: float
    status: str


Led = dict[tuple[int, int, int], tuple[str, str]]


def captions(cells: pd.DataFrame, wins: pd.DataFrame, axis: str, held: str, *, per_step: bool) -> dict[tuple[int, int], str]:
    """A caption for each group and held size, from plain tuples: a large page has thousands of them. wins: who leads where."""
    timed = cells[cells["time"].notna()]
    value = timed["time"] / timed["steps"] if per_step else timed["time"]
    points = timed.assign(value=value, reached=timed["floor"] / timed["time"])
    points = points.sort_values(["group", held, axis, "value"], kind="stable")
    columns = ("group", held, axis, "value", "backend", "reached", "status")
    every = map(Point._make, zip(*(points[c].tolist() for c in columns), strict=True))
    leads = wins[["group", held, axis, "fastest", "outcome"]].itertuples(index=False, name=None)
    led = {(g, h, size): (fastest, outcome) for g, h, size, fastest, outcome in leads}
    bad = cells.loc[cells["status"].isin(BAD), ["group", held]]
    failed = set(bad.itertuples(index=False, name=None))
    return {
        key: _words(list(part), led, axis, held, per_step=per_step, failed=key in failed)
        for key, part in groupby(every, lambda p: (p.group, p.held))
    }


def _words(points: list[Point], led: Led, axis: str, held: str, *, per_step: bool, failed: bool) -> str:
    """led: of each group, held size and size the fastest backend, and the outcome there."""
    letter, unit = LETTER[axis], " a step" if per_step else ""
    by_size = [list(part) for _, part in groupby(points, lambda p: p.size)]  # the fastest may be one that is not drawn
    best = [next((p for p in part if p.backend == led[_cell(p)][0]), part[0]) for part in by_size]
    first, last = best[0], best[-1]
    says = [
        f"At {SIZE[held]} {first.held:,}: fastest at {letter}={first.size:,} is {first.backend}, {duration(first.value)}{unit}"
    ]
    if len(best) > 1:
        says[0] += f"; at {letter}={last.size:,} {last.backend}, {duration(last.value)}{unit}"
        leaders = [p for p in best if led[_cell(p)] == (p.backend, WIN)]
        alone = [p for p in best if led[_cell(p)] == (p.backend, ALONE)]
        turns = [f"{letter}={a.size:,} and {b.size:,}" for a, b in pairwise(leaders) if a.backend != b.backend]
        if turns:
            says.append(f"The lead changes between {listed(turns)}")
        elif len(leaders) == len(best):
            says.append(f"{first.backend} leads all along")
        if alone:
            where = "" if len(alone) == len(best) else f" at {listed([f'{letter}={p.size:,}' for p in alone])}"
            says.append(f"No rival has a time{where}")
        if doubtful := [f"{letter}={p.size:,}" for p in best if p not in leaders and p not in alone]:
            says.append(f"No clear lead at {listed(doubtful)}")
        lines: dict[str, list[Point]] = {}
        for point in points:
            lines.setdefault(point.backend, []).append(point)
        ends = (first.size, last.size)
        grown = [_growth(line, ends, letter) for line in lines.values() if len(line) > 1]
        what = "cost of a step" if per_step else "time"
        if grown:
            says.append(f"From {letter}={first.size:,} to {last.size:,} the {what} changes by a factor of: {listed(grown, 6)}")
    reached = [p.reached for p in points if p.reached == p.reached]
    if reached:
        says.append(f"Dotted: the floor, of which {percent(max(reached))} is reached at best")
    if any(p.status == "UNSTABLE" for p in points):
        says.append("Hollow marks: UNSTABLE")
    if failed:
        says.append("Crosses above: no time, for the reason in the table")
    return ". ".join(says) + ". Vertical bars: 95% interval of the median."


def _cell(point: Point) -> tuple[int, int, int]:
    return point.group, point.held, point.size


def _growth(line: list[Point], ends: tuple[int, int], letter: str) -> str:
    """A backend's name and the factor between its ends, which are named where they are not those of the chart."""
    own = (line[0].size, line[-1].size)
    span = "" if own == ends else f" ({letter}={own[0]:,} to {own[1]:,})"
    return f"{line[0].backend} {_factor(line[-1].value / line[0].value)}{span}"


def _factor(value: float) -> str:
    """Three digits of a number of any size: 0.00123, 123, 488,000."""
    return significant(value) if value < 1000 else f"{float(f'{value:.2e}'):,.0f}"
