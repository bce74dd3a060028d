"""What charts share: looks of backends, tooltips, scales and axes, expressions for numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ..view import View
from .chart import columns

COLOURS = ("#0072B2", "#D55E00", "#008F68", "#B8609A", "#7D7D7D", "#8C6D31", "#2B8FC9", "#9A8700")
"""From Okabe and Ito's set, with a contrast of at least 3 to 1 on white and on black."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [12, 4], [4, 4], [1, 3])
"""One fewer than colours, so that a repeated colour has another shape and dash."""
NEUTRAL = "#9aa4ae"
ALARM = "#c4320a"

# Marks whose name begins with "inked" have the page's text colour: dark on light paper, light on dark.


def tooltips(*fields: str, **titled: str) -> list[alt.Tooltip]:
    """The fields of the mark under the pointer: text, or one of the two sizes; `titled`: text under another title."""
    sizes = {c.field: alt.Tooltip(f"{c.field}:Q", title=c.heading, format=",") for c in columns("steps", "batch")}
    plain = [sizes.get(name) or alt.Tooltip(f"{name}:N") for name in fields]
    return plain + [alt.Tooltip(f"{name}:N", title=title) for name, title in titled.items()]


def log_scale(padding: int = 14) -> alt.Scale:
    """A logarithmic scale that ends that many pixels outside the values."""
    return alt.Scale(type="log", nice=False, padding=padding)


def size_axes() -> tuple[alt.X, alt.Y]:
    """The axes of a map of sequence length x batch size, the larger batches at the top."""
    labels = alt.Axis(labelAngle=0, labelOverlap="greedy", format=",")
    y = alt.Y("batch:O", title="batch size B", sort="descending", axis=alt.Axis(format=","))
    return alt.X("steps:O", title="sequence length T (time steps)", axis=labels), y


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
