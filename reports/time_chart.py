"""Time of a call, and of a step of it, against one size: medians with intervals and the floor, both axes logarithmic."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from .chart_parts import ALARM, Chart, Feed, backend_encodings, between, dash, finish, sizes_axis, time_axis, time_words
from .drawn import Drawn
from .time_captions import BAD, SIZE, captions

LINE = 32
"""Pixels above the chart for each backend without a time somewhere."""
_OTHER = {"steps": "batch", "batch": "steps"}
_AXIS = {"steps": "sequence length T (time steps)", "batch": "batch size B (sequences)"}


def time_charts(drawn: Drawn, cells: pd.DataFrame, wins: pd.DataFrame) -> list[Chart]:
    """Time and time per step, against each of the two sizes that varies within a group at one value of the other one."""
    charts = []
    for axis in ("steps", "batch"):
        timed = cells[cells["time"].notna()]
        if timed.groupby(["group", _OTHER[axis]])[axis].nunique().max() > 1:
            charts += [_chart(drawn, cells, wins, axis, per_step=per_step) for per_step in (False, True)]
    return charts


def _chart(drawn: Drawn, cells: pd.DataFrame, wins: pd.DataFrame, axis: str, *, per_step: bool) -> Chart:
    what = "time per step" if per_step else "time"
    by = "datum.steps" if per_step else "1"
    x = alt.X(f"{axis}:Q", title=_AXIS[axis], scale=alt.Scale(type="log", nice=False, padding=14), axis=sizes_axis())
    scale = alt.Scale(type="log", nice=False, padding=14)
    y = alt.Y("value:Q", title=f"{'time per step' if per_step else 'time per call'}, median", scale=scale, axis=time_axis("y"))
    base = alt.Chart().transform_calculate(
        value=f"isValid(datum.time) ? datum.time / {by} : null",
        lower=f"isValid(datum.low) ? datum.low / {by} : null",
        upper=f"isValid(datum.high) ? datum.high / {by} : null",
        least=f"isValid(datum.floor) ? datum.floor / {by} : null",
    )
    told = base.transform_calculate(
        said=time_words("datum.value"),
        interval=between("datum.lower", "datum.upper"),
        reached="isValid(datum.least) && isValid(datum.value) ? format(datum.least / datum.value, '.2~p') : '–'",
    )
    tooltip = [
        alt.Tooltip("backend:N"),
        alt.Tooltip("steps:Q", title="sequence length", format=","),
        alt.Tooltip("batch:Q", title="batch size", format=","),
        alt.Tooltip("said:N", title=f"median {what}"),
        alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("reached:N", title="floor reached"),
        alt.Tooltip("status:N"),
    ]
    marks = backend_encodings(drawn)
    colour = {"color": marks["color"]}
    point = told.encode(x=x, y=y, tooltip=tooltip, **marks)
    rule = told.transform_filter("isValid(datum.lower)").mark_rule(strokeWidth=1.6)
    layers: list[Any] = [
        _floor(base, x, scale),
        base.mark_line(strokeWidth=1.6, invalid="break-paths-filter-domains").encode(
            x=x, y=y, strokeDash=dash(drawn), **colour
        ),
        rule.encode(x=x, y=alt.Y("lower:Q"), y2="upper:Q", **colour),
        point.mark_point(size=60, filled=True, opacity=1).transform_filter("datum.status == 'PASSED'"),
        point.mark_point(size=70, filled=False, fill="white", strokeWidth=2).transform_filter("datum.status == 'UNSTABLE'"),
        *_crosses(told, x),
    ]
    label = f"{what.capitalize()} against {SIZE[axis]}"
    chart = alt.layer(*layers).add_params(alt.param(name="sizes", value=[]))
    held = _OTHER[axis]
    return Chart(
        name=f"{what.replace(' ', '-')}-vs-{SIZE[axis].replace(' ', '-')}",
        title=label,
        spec=finish(chart, 560, 320),
        feeds={"rows": Feed("cells", (held,))},
        captions=captions(cells, wins, axis, held, per_step=per_step),
        columns=(
            ("backend", "backend"), ("steps", "sequence length"), ("batch", "batch size"), ("status", "status"),
            ("time", "time per call"), ("low", "from"), ("high", "to"), ("@step", "time per step"), ("floor", "floor"),
            ("@reached", "floor reached"), ("reason", "reason"),
        ),
        slice_by=held,
        lists={"sizes": axis},
    )  # fmt: skip


def _crosses(told: alt.Chart, x: alt.X) -> list[alt.Chart]:
    """Above the chart, where no point lies: for each backend that went wrong its name, and below it a cross at each size."""
    bad = told.transform_filter(f"indexof({list(BAD)!r}, datum.status) >= 0").transform_window(
        line="dense_rank()", sort=[alt.SortField("backend")]
    )
    tooltip = [alt.Tooltip("backend:N"), alt.Tooltip("status:N"), alt.Tooltip("reason:N")]
    above = f"{LINE} * (1 - datum.line)"
    return [
        bad.mark_text(text="✗", fontSize=15, fontWeight="bold", color=ALARM, dy=alt.ExprRef(f"{above} - 8"))
        .encode(x=x, y=alt.value(0), tooltip=tooltip)
        .properties(name="alarm"),
        bad.transform_aggregate(line="min(line)", groupby=["backend"])
        .transform_calculate(who="'no time of ' + datum.backend + ' at:'")
        .mark_text(fontSize=11, color=ALARM, align="left", limit=alt.ExprRef("width"), dy=alt.ExprRef(f"{above} - 23"))
        .encode(x=alt.value(0), y=alt.value(0), text="who:N")
        .properties(name="alarm_name"),
    ]


def _floor(base: alt.Chart, x: alt.X, scale: alt.Scale) -> alt.LayerChart:
    """What no backend can beat: a line with its name at the end."""
    field = str(x.to_dict()["field"])
    line = base.transform_filter("isValid(datum.least)").transform_aggregate(value="min(least)", groupby=[field])
    y = alt.Y("value:Q", scale=scale)
    end = line.transform_joinaggregate(last=f"max({field})").transform_filter(f"datum.last == datum.{field}")
    return alt.layer(
        line.mark_line(strokeDash=[2, 4], strokeWidth=1.5, color="#57606a").encode(x=x, y=y).properties(name="inked_floor"),
        end.mark_text(text="floor", align="right", dy=-7, fontSize=12, color="#57606a")
        .encode(x=x, y=y)
        .properties(name="inked_word"),
    )
