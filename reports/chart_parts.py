"""What the charts have in common: what a chart is, the marks' colours and shapes, and words for numbers in the descriptions.

A chart's description names its data ("rows") and does not hold it: the page hands it the records of what is chosen there, and
`filled` those of one choice, for a picture. Whatever text a chart shows it computes from these numbers, so that both are alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import altair as alt
import numpy as np
import pandas as pd

from .drawn import Drawn

COLOURS = ("#0072B2", "#D55E00", "#008F68", "#B8609A", "#7D7D7D", "#8C6D31", "#2B8FC9", "#9A8700")
"""From Okabe and Ito's set, moved to lightnesses that stand out from white and from black alike (3 to 1)."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [12, 4], [4, 4], [1, 3])
"""One fewer than colours, so that a colour that comes again comes with another shape and dash."""
KEYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What stands for a backend where colour alone would: the n-th letter for the n-th backend."""
PALE = "#9aa4ae"
ALARM = "#c4320a"

# Marks whose name begins with "inked" have the colour of text: dark on light paper, light on dark.


@dataclass(frozen=True)
class Feed:
    """What a chart's data is: the page's table `table`, at the chosen group (all precisions of it, if `across`) and held sizes.

    held: those of the fields steps, batch, backend and base that stand at what is chosen. everywhere: the same for all groups.
    """

    table: str
    held: tuple[str, ...] = ()
    across: bool = False
    everywhere: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """name: a file name without its ending. spec: the Vega-Lite description, without data. feeds: what its named data are.

    captions: by group, then by the size that `slice_by` names (None: one for the group): what there is to see. columns: field
    and heading of the table behind the chart, which holds the data "rows". wide: it takes a whole line of the page.
    """

    name: str
    title: str
    spec: dict[str, Any]
    feeds: Mapping[str, Feed]
    captions: Mapping[Any, str]
    columns: tuple[tuple[str, str], ...]
    slice_by: str | None = None
    wide: bool = False
    lists: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the description that hold the sorted distinct values of a field of "rows": the axis' ticks."""
    lines: tuple[str, int] | None = None
    """For a chart with a line of its own for each value of a field of "rows": that field, and a line's height."""


def finish(layers: Any, width: int, height: int, *, data: str = "rows") -> dict[str, Any]:
    """The description of a chart of that many pixels, over the data of that name."""
    chart = layers.properties(width=width, height=height, data=alt.NamedData(name=data), background="white")
    chart = chart.configure_view(stroke="#b9c1ca").configure_axis(
        gridColor="#e3e6ea",
        labelFontSize=12,
        titleFontSize=12,
        titleFontWeight="normal",
        labelColor="#1b1f24",
        titleColor="#1b1f24",
    )
    chart = chart.configure_legend(
        labelFontSize=12, titleFontSize=12, labelColor="#1b1f24", titleColor="#1b1f24", labelLimit=400
    )
    spec: dict[str, Any] = chart.to_dict(validate=False)  # the schema is asked in the tests; here it is most of the time
    del spec["$schema"]  # an address that nothing needs: page and SVG name the version themselves
    # the chart is one picture with a caption and a table beside it; a thousand marks with names each would be noise
    spec["config"]["aria"] = False
    spec["autosize"] = {"type": "fit-x", "contains": "padding", "resize": True}
    return spec


def filled(chart: Chart, data: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The description with its data inside: a picture of one choice."""
    held = {name: frame.astype(object).where(frame.notna(), None).to_dict("records") for name, frame in data.items()}
    params = [
        {**p, "value": sorted({r[chart.lists[p["name"]]] for r in held["rows"]})} if p.get("name") in chart.lists else p
        for p in chart.spec.get("params", [])
    ]
    height = {"height": chart.lines[1] * max(1, len({r[chart.lines[0]] for r in held["rows"]}))} if chart.lines else {}
    return {**chart.spec, **height, "datasets": held, **({"params": params} if params else {})}


def by_backend(drawn: Drawn, looks: Sequence[Any]) -> alt.Scale:
    """What each backend looks like: the same in every chart. Those without any time are left out."""
    return alt.Scale(domain=drawn.timed, range=[looks[drawn.backends.index(b) % len(looks)] for b in drawn.timed])


def legend_columns(drawn: Drawn) -> int:
    """Two columns for short names, one for long ones."""
    return 1 if max(map(len, drawn.timed), default=0) > 24 else 2


def backend_encodings(drawn: Drawn) -> dict[str, Any]:
    """Colour and shape of marks by backend, with one legend."""
    legend = _legend(drawn)
    return {
        "color": alt.Color("backend:N", scale=by_backend(drawn, COLOURS), legend=legend),
        "shape": alt.Shape("backend:N", scale=by_backend(drawn, SHAPES), legend=legend),
    }


def dash(drawn: Drawn) -> alt.StrokeDash:
    """The dashes of lines by backend."""
    return alt.StrokeDash("backend:N", scale=by_backend(drawn, DASHES), legend=_legend(drawn))


def _legend(drawn: Drawn) -> alt.Legend:
    return alt.Legend(orient="bottom", columns=legend_columns(drawn), symbolSize=100, symbolStrokeWidth=0, title=None)


def time_words(value: str) -> str:
    """The expression that says seconds as `words.duration` does: three digits and a unit."""
    units = (("s", 1.0, 1), ("ms", 1e-3, 1e3), ("µs", 1e-6, 1e6))
    said = "".join(
        f"{value} >= {0.9995 * least!r} ? format({value} * {factor!r}, '.3~r') + ' {unit}' : " for unit, least, factor in units
    )
    return f"(!isValid({value}) ? '–' : {said}format({value} * 1e9, '.3~r') + ' ns')"


def between(low: str, high: str) -> str:
    """The expression for an interval of seconds."""
    return f"(isValid({low}) ? {time_words(low)} + ' to ' + {time_words(high)} : '–')"


def log_axis(channel: str, words: str, **more: Any) -> alt.Axis:
    """A logarithmic axis: ticks at 1, 2 and 5 times the powers of ten; at all that there are, where its ends are near.

    words: the expression of a tick's label.
    """
    leading = "round(100 * datum.value / pow(10, floor(log(datum.value) / LN10 + 1e-9)))"
    shown = f"(domain('{channel}')[1] < 8 * domain('{channel}')[0] || indexof([100, 200, 500], {leading}) >= 0)"
    only = alt.condition(shown, alt.value(1), alt.value(0))
    return alt.Axis(
        labelExpr=f"{shown} ? {words} : ''",
        gridOpacity=only,
        tickOpacity=only,
        labelOverlap="greedy",
        labelSeparation=4,
        **more,
    )


def time_axis(channel: str) -> alt.Axis:
    """A logarithmic axis of seconds."""
    return log_axis(channel, time_words("datum.value"))


def sizes_axis() -> alt.Axis:
    """An axis whose ticks are the sizes that were measured, from the parameter `sizes`."""
    return alt.Axis(format=",~r", values=alt.ExprRef("sizes"), labelOverlap="greedy", labelSeparation=6)


def parts(table: pd.DataFrame, by: str | list[str]) -> list[tuple[Any, Any]]:
    """The parts of a table by what they share, each with it; a group's number is an int."""
    return [(int(key) if by == "group" else key, part) for key, part in cast("Any", table.groupby(by))]


def largest(table: pd.DataFrame, by: pd.Series[Any]) -> Any:
    """The line of the table at which the values are largest."""
    return table.iloc[int(by.to_numpy(dtype="float64", na_value=-np.inf).argmax())]


def listed(items: list[str], most: int = 3) -> str:
    """The first items with their number: "a, b and 4 more"."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def slug(text: str) -> str:
    """The text as a file name: lower-case letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
