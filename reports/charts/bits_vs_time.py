"""Effective bits against time, over all precisions."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lstm_parity.harness.text import significant

from ..findings import Findings
from ..tables import MAX_ROWS, Table
from .chart import Chart, Feed, chart, columns, finish
from .encodings import backend_encodings, log_scale, time_axis, time_text, tooltips

_KEY = (
    "Higher is more precise, further left is faster; the dotted line joins the points that no other one beats in both. "
    "Significands: float64 53 bits, float32 24, tf32 and float16 11, bfloat16 8."
)


@chart(section="trust", order=10)
def bits_vs_time(found: Findings) -> list[Chart]:
    """Effective bits against time at one size, with the front of those that no other one beats in both."""
    cells = found.cells
    known = cells[cells["time"].notna() & cells["bits"].notna()]
    if known.empty:
        return []
    summaries = {}
    for group in map(int, found.view.groups.index):
        part = known[known["group"].isin(found.view.all_precisions(group))]
        if len(part):
            summaries[group] = by_precision(part)
    captions = {(group,): _caption(summary) for group, summary in summaries.items()}
    x = alt.X("time:Q", title="time per call, median", scale=log_scale(30), axis=time_axis("x"))
    y = alt.Y("bits:Q", title="effective bits of y", scale=alt.Scale(zero=True, padding=12))
    base = (
        alt.Chart()
        .transform_filter("isValid(datum.time) && isValid(datum.bits)")
        .transform_calculate(median=time_text("datum.time"), full="format(datum.bits, '.1f')")
    )
    front = (
        base.transform_window(
            most="max(bits)", sort=[alt.SortField("time"), alt.SortField("bits", order="descending")], frame=[None, -1]
        )
        .transform_filter("!isValid(datum.most) || datum.bits > datum.most")
        .mark_line(interpolate="step-after", strokeWidth=1.5, strokeDash=[2, 3], color="#57606a")
        .encode(x=x, y=y, order="time:Q")
        .properties(name="inked_front")
    )
    points = base.mark_point(size=80, filled=True, opacity=1).encode(
        x=x,
        y=y,
        tooltip=[*tooltips("backend", "precision", median="median time", full="effective bits"), *tooltips("status")],
        **backend_encodings(found.view),
    )
    names = (
        base.transform_aggregate(level="mean(bits)", groupby=["precision"])
        .mark_text(align="right", dx=-3, dy=-12, fontSize=11)
        .encode(x=alt.value("width"), y="level:Q", text="precision:N")
        .properties(name="inked_precision")
    )
    shown = Chart(
        name="bits-vs-time",
        title="Precision against time",
        spec=finish(alt.layer(front, points, names), 560, 300),
        feeds={"rows": Feed("cells", cells, ("steps", "batch"), all_precisions=True)},
        captions=captions,
        key=_KEY,
        columns=columns("backend", "precision", "time", "bits", "bound", "status"),
        tables=(_table(found, summaries),),
    )
    return [shown]


def by_precision(part: pd.DataFrame) -> pd.DataFrame:
    """Median bits, and the geometric mean of the time over the least at each size, by backend and precision."""
    least = part.groupby(["steps", "batch"])["time"].transform("min")
    kinds = part.assign(slower=np.log(part["time"] / least)).groupby(["backend", "precision"])
    found = kinds.agg(bits=("bits", "median"), slower=("slower", "mean"))
    return found.sort_values(["bits", "slower"], ascending=[False, True]).reset_index()


def _caption(summary: pd.DataFrame) -> str:
    first: Any = summary.iloc[0]
    return (
        f"{first['backend']} in {first['precision']} is the most precise, with {first['bits']:.1f} effective bits "
        f"over all sizes, at {significant(math.exp(first['slower']))} times the least time."
    )


def _table(found: Findings, summaries: dict[int, Any]) -> Table:
    """The summaries, once for all groups that differ in precision alone."""
    lines = []
    for group, summary in summaries.items():
        if group == min(found.view.all_precisions(group)):
            problem = ", ".join(found.view.describe(group, all_precisions=True))
            lines += [
                [problem, s.backend, s.precision, f"{s.bits:.1f}", significant(math.exp(s.slower))]
                for s in summary.itertuples()
            ]
    columns = ["problem", "backend", "precision", "effective bits", "time / least time"]
    note = "Median of the bits, and geometric mean of the time over the least time at each size, over all sizes."
    return Table("Precision and time", note, pd.DataFrame(lines[:MAX_ROWS], columns=columns), frozenset(columns[3:]))
