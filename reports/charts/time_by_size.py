"""Time of a call, and of a step of it, against one size: medians with intervals and the floor, both axes logarithmic."""

from __future__ import annotations

from typing import Any

import altair as alt

from lstm_parity.harness.records import BAD
from lstm_parity.harness.text import significant

from ..data import parts_by, row_of_max
from ..findings import Findings
from ..wins import ALONE, WIN
from .chart import Chart, Feed, chart, columns, finish, interval
from .encodings import ALARM, backend_encodings, dash, log_scale, sizes_axis, time_axis, time_range, time_text, tooltips

LINE = 32
"""Pixels above the chart for each backend without a valid time somewhere."""
_SIZE = {"steps": "sequence length", "batch": "batch size"}
_LETTER = {"steps": "T", "batch": "B"}
_OTHER = {"steps": "batch", "batch": "steps"}
_AXIS = {"steps": "sequence length T (time steps)", "batch": "batch size B (sequences)"}
_KEY = (
    "Filled marks: PASSED; hollow: UNSTABLE; vertical bars: 95% interval of the median; dotted: the floor; "
    "crosses above: no valid time, for the reason in the table."
)


@chart(section="speed", order=10)
def time_charts(found: Findings) -> list[Chart]:
    """Time and time per step, against each of the two sizes that varies within a group at one value of the other one."""
    timed = found.cells[found.cells["time"].notna()]
    axes = [axis for axis in _SIZE if timed.groupby(["group", _OTHER[axis]])[axis].nunique().max() > 1]
    return [_chart(found, axis, per_step=per_step) for axis in axes for per_step in (False, True)]


def _chart(found: Findings, axis: str, *, per_step: bool) -> Chart:
    what = "time per step" if per_step else "time"
    by = "datum.steps" if per_step else "1"
    scale = log_scale()
    x = alt.X(f"{axis}:Q", title=_AXIS[axis], scale=scale, axis=sizes_axis())
    y = alt.Y("value:Q", title=f"{'time per step' if per_step else 'time per call'}, median", scale=scale, axis=time_axis("y"))
    base = alt.Chart().transform_calculate(
        value=f"isValid(datum.time) ? datum.time / {by} : null",
        lower=f"isValid(datum.low) ? datum.low / {by} : null",
        upper=f"isValid(datum.high) ? datum.high / {by} : null",
        least=f"isValid(datum.floor) ? datum.floor / {by} : null",
    )
    labelled = base.transform_calculate(
        text=time_text("datum.value"),
        interval=time_range("datum.lower", "datum.upper"),
        reached="isValid(datum.least) && isValid(datum.value) ? format(datum.least / datum.value, '.2~p') : '–'",
    )
    titled = {"text": f"median {what}", "interval": "95% interval", "reached": "floor reached"}
    tooltip = [*tooltips("backend", "steps", "batch", **titled), *tooltips("status")]
    marks = backend_encodings(found.view)
    colour = {"color": marks["color"]}
    point = labelled.encode(x=x, y=y, tooltip=tooltip, **marks)
    rule = labelled.transform_filter("isValid(datum.lower)").mark_rule(strokeWidth=1.6)
    layers: list[Any] = [
        _floor(base, x, scale),
        base.mark_line(strokeWidth=1.6, invalid="break-paths-filter-domains").encode(
            x=x, y=y, strokeDash=dash(found.view), **colour
        ),
        rule.encode(x=x, y=alt.Y("lower:Q"), y2="upper:Q", **colour),
        point.mark_point(size=60, filled=True, opacity=1).transform_filter("datum.status == 'PASSED'"),
        point.mark_point(size=70, filled=False, fill="white", strokeWidth=2).transform_filter("datum.status == 'UNSTABLE'"),
        *_crosses(labelled, x),
    ]
    label = f"{what.capitalize()} against {_SIZE[axis]}"
    layered = alt.layer(*layers).add_params(alt.param(name="sizes", value=[]))
    held = _OTHER[axis]
    return Chart(
        name=f"{what.replace(' ', '-')}-vs-{_SIZE[axis].replace(' ', '-')}",
        title=label,
        spec=finish(layered, 560, 320),
        feeds={"rows": Feed("cells", found.cells, (held,))},
        captions=_captions(found, axis, held),
        captioned_by=(held,),
        key=_KEY,
        columns=columns(
            "backend", "steps", "batch", "status", "time", *interval("duration"), "step_time", "floor", "reached", "reason"
        ),
        unique_values={"sizes": axis},
    )


def _crosses(labelled: alt.Chart, x: alt.X) -> list[alt.Chart]:
    """Above the chart: for each backend without a valid time somewhere its name, and below it a cross at each such size."""
    bad = labelled.transform_filter(f"indexof({list(BAD)!r}, datum.status) >= 0").transform_window(
        line="dense_rank()", sort=[alt.SortField("backend")]
    )
    tooltip = tooltips("backend", "status", "reason")
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
    """The floor, which no backend can be faster than: a line with its name at the end."""
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


def _captions(found: Findings, axis: str, held: str) -> dict[tuple[Any, ...], str]:
    """By group and held size: the largest lead."""
    said = {}
    for key, part in parts_by(found.wins[found.wins["fastest"].notna()], "group", held):
        won = part[part["outcome"] == WIN]
        if len(won):
            best = row_of_max(won, won["margin"])
            at = f"{_LETTER[axis]}={best[axis]:,}"
            margin = f"{significant(best['margin'])}x faster than {best['rival']}"
            lead = f"the largest lead is that of {best['fastest']} at {at}: {margin}"
        elif (part["outcome"] == ALONE).all() and part["fastest"].nunique() == 1:
            lead = f"only {part['fastest'].iloc[0]} has a time"
        else:
            lead = "no backend has a clear lead"
        said[key] = f"At {_SIZE[held]} {key[1]:,}, {lead}."
    return said
