"""What a chart is, and what charts share: encodings of backends, axes, expressions for numbers.

A chart is one file of this folder: a function with the decorator `chart` that takes the Findings and returns its charts. The
page, the pictures and the Markdown contain whatever such functions return; nothing else knows a chart by name.

The Vega-Lite spec of a chart names its data ("rows") and does not contain it: the page hands over the records of what is chosen
there, and `filled` those of one choice, for a picture. Text in a chart is computed from its records, so it is the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import altair as alt
import pandas as pd

from ..findings import Findings
from ..tables import Table
from ..view import View

Section = Literal["wins", "speed", "roof", "trust", "published", "history"]
"""The sections of the page that contain charts."""
COLOURS = ("#0072B2", "#D55E00", "#008F68", "#B8609A", "#7D7D7D", "#8C6D31", "#2B8FC9", "#9A8700")
"""From Okabe and Ito's set, with a contrast of at least 3 to 1 on white and on black."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [12, 4], [4, 4], [1, 3])
"""One fewer than colours, so that a repeated colour has another shape and dash."""
NEUTRAL = "#9aa4ae"
ALARM = "#c4320a"

# Marks whose name begins with "inked" have the page's text colour: dark on light paper, light on dark.


@dataclass(frozen=True, eq=False)
class Feed:
    """One data source of a chart: the records of a table at what is chosen on the page."""

    name: str
    """The table's name in the page's data; charts with the same name share one table."""
    table: pd.DataFrame
    """With a column `group`, the number of a group of the View."""
    chosen: tuple[str, ...] = ()
    """The fields whose value is the chosen one: of steps, batch, and those of the chart's `choices`."""
    all_precisions: bool = False
    """The records of all precisions of the chosen group."""
    all_groups: bool = False
    """The same records for all groups, which are those of group 0."""


@dataclass(frozen=True)
class Column:
    """A column of the table of a chart's numbers."""

    field: str
    heading: str
    format: Literal["number", "duration", "percent"] = "number"
    """Of numbers; text is shown as it is."""


_COLUMNS = {
    column.field: column
    for column in (
        Column("steps", "sequence length"),
        Column("batch", "batch size"),
        Column("time", "time per call", "duration"),
        Column("bits", "effective bits"),
        Column("bound", "error / bound"),
        Column("reached", "floor reached", "percent"),
        Column("floor", "floor", "duration"),
        Column("step_time", "time per step", "duration"),
        Column("flops", "operations"),
        Column("speed", "operations a second"),
    )
}


def columns(*fields: str | Column) -> tuple[Column, ...]:
    """The columns of these fields, whose heading is the usual one or else the field itself."""
    return tuple(f if isinstance(f, Column) else _COLUMNS.get(f, Column(f, f)) for f in fields)


def interval(kind: Literal["number", "duration"] = "number") -> tuple[Column, Column]:
    """The columns of the two ends of a 95% interval."""
    return Column("low", "from", kind), Column("high", "to", kind)


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart: its data, its picture and its caption."""

    name: str
    """A file name without its ending."""
    title: str
    spec: dict[str, Any]
    """The Vega-Lite spec without data, see `finish`."""
    feeds: Mapping[str, Feed]
    """The spec's data by name; "rows" is the main one."""
    captions: Mapping[tuple[Any, ...], str]
    """(group, chosen value of each field of `captioned_by`) -> one sentence: the largest effect and where it is."""
    columns: tuple[Column, ...]
    """Of the table of the chart's numbers, the records of "rows"."""
    captioned_by: tuple[str, ...] = ()
    """The fields besides the group that a caption is about."""
    key: str = ""
    """How to read its marks, the same for every choice."""
    choices: tuple[tuple[str, str], ...] = ()
    """(field, label) of each menu of backends that the chart has."""
    choice_text: str = ""
    """What is chosen in those menus, with fields in braces."""
    start: Mapping[str, str] = field(default_factory=dict)
    """What is chosen in them at first, by field."""
    pictured: Mapping[int, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    """By group: the choices that have a picture; only for a chart with menus."""
    selects_cell: bool = False
    """A click on a mark chooses its steps and batch on the page."""
    wide: bool = False
    """It has the full width of the page."""
    unique_values: Mapping[str, str] = field(default_factory=dict)
    """Parameter of the spec -> the field of "rows" whose sorted distinct values it holds, such as an axis' ticks."""
    line_height: tuple[str, int] | None = None
    """(field, pixels): the chart has a line of that height for each value of that field of "rows"."""
    tables: tuple[Table, ...] = ()
    """Shown below the chart's section."""


Maker = Callable[[Findings], Sequence[Chart]]


@dataclass(frozen=True)
class Registered:
    """A function that makes charts, and where its charts are on the page."""

    order: int
    section: Section
    make: Maker


REGISTRY: list[Registered] = []


def chart(*, section: Section, order: int) -> Callable[[Maker], Maker]:
    """Register the function: its charts are in that section of the page, by ascending order."""

    def register(make: Maker) -> Maker:
        REGISTRY.append(Registered(order, section, make))
        return make

    return register


def finish(layers: Any, width: int, height: int, *, data: str = "rows") -> dict[str, Any]:
    """The Vega-Lite spec of a chart of that many pixels, over the data of that name."""
    spec_of = layers.properties(width=width, height=height, data=alt.NamedData(name=data), background="white")
    spec_of = spec_of.configure_view(stroke="#b9c1ca").configure_axis(
        gridColor="#e3e6ea",
        labelFontSize=12,
        titleFontSize=12,
        titleFontWeight="normal",
        labelColor="#1b1f24",
        titleColor="#1b1f24",
    )
    spec_of = spec_of.configure_legend(
        labelFontSize=12, titleFontSize=12, labelColor="#1b1f24", titleColor="#1b1f24", labelLimit=400
    )
    spec: dict[str, Any] = spec_of.to_dict(validate=False)  # the tests validate it; here that would take most of the time
    del spec["$schema"]  # a URL that nothing needs: page and SVG name the version themselves
    # for a screen reader the chart is one picture with a caption and a table, not a thousand labelled marks
    spec["config"]["aria"] = False
    spec["autosize"] = {"type": "fit-x", "contains": "padding", "resize": True}
    return spec


def filled(one: Chart, data: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The spec with its data inside: a picture of one choice."""
    records = {name: frame.astype(object).where(frame.notna(), None).to_dict("records") for name, frame in data.items()}
    spec = {**one.spec, "datasets": records}
    if one.line_height:
        spec["height"] = one.line_height[1] * max(1, len({r[one.line_height[0]] for r in records["rows"]}))
    if one.unique_values:
        values = {name: sorted({r[of] for r in records["rows"]}) for name, of in one.unique_values.items()}
        spec["params"] = [{**p, "value": values[p["name"]]} if p["name"] in values else p for p in spec["params"]]
    return spec


def size_tooltips() -> list[alt.Tooltip]:
    """Sequence length and batch size of the mark under the pointer."""
    return [alt.Tooltip(f"{c.field}:Q", title=c.heading, format=",") for c in columns("steps", "batch")]


def by_backend(view: View, looks: Sequence[Any]) -> alt.Scale:
    """The scale of the backends that have a time; a backend looks the same in every chart."""
    return alt.Scale(domain=view.timed, range=[looks[view.backends.index(b) % len(looks)] for b in view.timed])


def legend_columns(view: View) -> int:
    """Two columns for short names, one for long ones."""
    return 1 if max(map(len, view.timed), default=0) > 24 else 2


def backend_encodings(view: View) -> dict[str, Any]:
    """Colour and shape of marks by backend, with one legend."""
    legend = _legend(view)
    return {
        "color": alt.Color("backend:N", scale=by_backend(view, COLOURS), legend=legend),
        "shape": alt.Shape("backend:N", scale=by_backend(view, SHAPES), legend=legend),
    }


def dash(view: View) -> alt.StrokeDash:
    """The dashes of lines by backend."""
    return alt.StrokeDash("backend:N", scale=by_backend(view, DASHES), legend=_legend(view))


def _legend(view: View) -> alt.Legend:
    return alt.Legend(orient="bottom", columns=legend_columns(view), symbolSize=100, symbolStrokeWidth=0, title=None)


def time_text(value: str) -> str:
    """The Vega expression that formats seconds as `harness.text.duration` does: three digits and a unit."""
    units = (("s", 1.0, 1), ("ms", 1e-3, 1e3), ("µs", 1e-6, 1e6))
    said = "".join(
        f"{value} >= {0.9995 * least!r} ? format({value} * {factor!r}, '.3~r') + ' {unit}' : " for unit, least, factor in units
    )
    return f"(!isValid({value}) ? '–' : {said}format({value} * 1e9, '.3~r') + ' ns')"


def time_range(low: str, high: str) -> str:
    """The Vega expression that formats an interval of seconds."""
    return f"(isValid({low}) ? {time_text(low)} + ' to ' + {time_text(high)} : '–')"


def log_axis(channel: str, label: str, **more: Any) -> alt.Axis:
    """A logarithmic axis: ticks at 1, 2 and 5 times the powers of ten, or at all multiples on an axis of less than a decade.

    label: the Vega expression of a tick's label.
    """
    leading = "round(100 * datum.value / pow(10, floor(log(datum.value) / LN10 + 1e-9)))"
    shown = f"(domain('{channel}')[1] < 8 * domain('{channel}')[0] || indexof([100, 200, 500], {leading}) >= 0)"
    only = alt.condition(shown, alt.value(1), alt.value(0))
    return alt.Axis(
        labelExpr=f"{shown} ? {label} : ''",
        gridOpacity=only,
        tickOpacity=only,
        labelOverlap="greedy",
        labelSeparation=4,
        **more,
    )


def time_axis(channel: str) -> alt.Axis:
    """A logarithmic axis of seconds."""
    return log_axis(channel, time_text("datum.value"))


def sizes_axis() -> alt.Axis:
    """An axis whose ticks are the sizes that were measured, from the parameter `sizes`."""
    return alt.Axis(format=",~r", values=alt.ExprRef("sizes"), labelOverlap="greedy", labelSeparation=6)
