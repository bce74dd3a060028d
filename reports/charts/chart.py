"""What a chart is, and what becomes of its spec; what charts share is in encodings.py.

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

Section = Literal["wins", "speed", "roof", "trust", "published", "history"]
"""The sections of the page that contain charts."""


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
