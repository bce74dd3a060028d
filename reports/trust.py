"""Effective bits against time, and every error over what rounding allows: what a time is worth."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .chart_parts import (
    ALARM,
    COLOURS,
    Chart,
    Feed,
    backend_encodings,
    by_backend,
    finish,
    largest,
    listed,
    log_axis,
    parts,
    time_axis,
    time_words,
)
from .drawn import Drawn
from .records import alike
from .words import cells as counted
from .words import significant

ROOM_FOR_WORDS = 30
"""The axis goes on to here where words stand at its end, or they would lie on the limit."""
LEAST_BOUND = 1e-6
"""Errors below this share of the bound, none among them, are drawn here: the axis is logarithmic."""


def bits_chart(drawn: Drawn, cells: pd.DataFrame) -> Chart | None:
    """Effective bits against time at one size, over all precisions, with the front of those that nobody beats in both."""
    known = cells[cells["time"].notna() & cells["bits"].notna()]
    if known.empty:
        return None
    there, groups = set(known["group"]), {int(g): alike(drawn, int(g)) for g in drawn.groups.index}
    x = alt.X("time:Q", title="time per call, median", scale=alt.Scale(type="log", nice=False, padding=30), axis=time_axis("x"))
    y = alt.Y("bits:Q", title="effective bits of y", scale=alt.Scale(zero=True, padding=12))
    base = (
        alt.Chart()
        .transform_filter("isValid(datum.time) && isValid(datum.bits)")
        .transform_calculate(said=time_words("datum.time"), full="format(datum.bits, '.1f')")
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
        tooltip=[
            alt.Tooltip("backend:N"),
            alt.Tooltip("precision:N"),
            alt.Tooltip("said:N", title="median time"),
            alt.Tooltip("full:N", title="effective bits"),
            alt.Tooltip("status:N"),
        ],
        **backend_encodings(drawn),
    )
    names = (
        base.transform_aggregate(level="mean(bits)", groupby=["precision"])
        .mark_text(align="right", dx=-3, dy=-12, fontSize=11)
        .encode(x=alt.value("width"), y="level:Q", text="precision:N")
        .properties(name="inked_precision")
    )
    return Chart(
        name="bits-vs-time",
        title="Precision against time",
        spec=finish(alt.layer(front, points, names), 560, 300),
        feeds={"rows": Feed("cells", ("steps", "batch"), across=True)},
        captions={g: _bits_caption(known[known["group"].isin(shown)]) for g, shown in groups.items() if there & set(shown)},
        columns=(
            ("backend", "backend"), ("precision", "precision"), ("time", "time per call"), ("bits", "effective bits"),
            ("bound", "error / bound"), ("status", "status"),
        ),
    )  # fmt: skip


def bound_chart(drawn: Drawn, cells: pd.DataFrame) -> Chart | None:
    """Every row's largest error over what rounding allows to it; beyond 1 it is wrong."""
    known = cells[cells["bound"].notna() | cells["status"].isin(["WRONG", "SUSPECT"])]
    if known.empty:
        return None
    y = alt.Y("backend:N", title=None, sort=drawn.backends, axis=alt.Axis(labelLimit=150))
    x = alt.X(
        "shown:Q", title="largest error over the allowed one", scale=alt.Scale(type="log", nice=False, padding=14),
        axis=log_axis("x", "format(datum.value, '~g')"),
    )  # fmt: skip
    base = alt.Chart().transform_calculate(
        shown=f"isValid(datum.bound) ? max(datum.bound, {LEAST_BOUND!r}) : datum.status == 'WRONG' ? 10 : 1",
        number="isValid(datum.bound) ? format(datum.bound, '.3~g') : 'no number'",
    )
    tooltip = [
        alt.Tooltip("backend:N"),
        alt.Tooltip("steps:Q", title="sequence length", format=","),
        alt.Tooltip("batch:Q", title="batch size", format=","),
        alt.Tooltip("number:N", title="error / bound"),
        alt.Tooltip("status:N"),
        alt.Tooltip("reason:N"),
    ]
    bad = "datum.status == 'WRONG' || datum.status == 'SUSPECT'"
    ticks = base.transform_filter(f"isValid(datum.bound) && !({bad})").mark_tick(thickness=2, size=18, opacity=0.8)
    limit = alt.Chart(alt.Data(values=[{"x": 1}])).encode(x="x:Q")
    room = alt.Chart(alt.Data(values=[{"x": ROOM_FOR_WORDS}])).mark_point(opacity=0).encode(x="x:Q")
    words = [
        base.transform_filter(f"datum.status == '{word}'")
        .mark_text(text=f"✗ {word}", fontWeight="bold", fontSize=11, color=ALARM, align="right", dx=-4, dy=dy)
        .encode(x=alt.value("width"), y=y, tooltip=tooltip)
        .properties(name=f"alarm_{word}")
        for word, dy in (("WRONG", -9), ("SUSPECT", 9))
    ]
    layers = alt.layer(
        limit.mark_rule(strokeWidth=2, strokeDash=[6, 3], color="#57606a").properties(name="inked_limit"),
        limit.mark_text(text="limit", align="right", dx=-4, baseline="top", fontSize=12, color="#57606a")
        .encode(y=alt.value(2)).properties(name="inked_word"),
        ticks.encode(x=x, y=y, color=alt.Color("backend:N", scale=by_backend(drawn, COLOURS), legend=None), tooltip=tooltip),
        base.transform_filter(bad).mark_text(text="✗", fontWeight="bold", fontSize=15, color=ALARM)
        .encode(x=x, y=y, tooltip=tooltip).properties(name="alarm"),
        *words,
        *([room] if known["status"].isin(["WRONG", "SUSPECT"]).any() else []),
    )  # fmt: skip
    return Chart(
        name="error-over-bound",
        title="Errors against what rounding allows",
        spec=finish(layers, 560, 100),
        feeds={"rows": Feed("cells")},
        captions={g: _bound_caption(part) for g, part in parts(known, "group")},
        lines=("backend", 36),
        columns=(
            ("backend", "backend"), ("steps", "sequence length"), ("batch", "batch size"), ("status", "status"),
            ("bound", "error / bound"), ("bits", "effective bits"), ("reason", "reason"),
        ),
    )  # fmt: skip


def _bits_caption(part: pd.DataFrame) -> str:
    """Bits, and time over the least at each size, for every backend and precision."""
    least = part.groupby(["steps", "batch"])["time"].transform("min")
    kinds = part.assign(slower=np.log(part["time"] / least)).groupby(["backend", "precision"])
    found: Any = kinds.agg(bits=("bits", "median"), slower=("slower", "mean")).sort_values(
        ["bits", "slower"], ascending=[False, True]
    )
    said = [f"{b} in {p} {row.bits:.1f} bits at {significant(math.exp(row.slower))}x the least time"
            for (b, p), row in zip(found.index, found.itertuples(), strict=True)]  # fmt: skip
    return (
        f"Up is more precise, left is faster; over all sizes: {listed(said, 8)}. The dotted line joins those that nobody beats "
        "in both. float32 shows 24 bits, float16 11, bfloat16 8."
    )


def _bound_caption(part: pd.DataFrame) -> str:
    wrong = part[part["status"].isin(["WRONG", "SUSPECT"])]
    right = part[~part.index.isin(wrong.index) & part["bound"].notna()]
    says = []
    if len(right):
        worst = largest(right, right["bound"])
        where = f"{worst['backend']} at T={worst['steps']:,}, B={worst['batch']:,}"
        says.append(
            f"The largest error of a right result is {significant(worst['bound'])} of the allowed one ({where}); 1 is the limit"
        )
    for status, rows in wrong.groupby("status"):
        names = listed([str(b) for b in dict.fromkeys(rows["backend"])])
        says.append(f"{status} in {counted(len(rows))}: {names}; why is in the table and on hover")
    return ". ".join(says) + "."
