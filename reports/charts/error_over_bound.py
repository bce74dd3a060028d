"""Every error over what rounding allows: beyond 1 a result is WRONG."""

from __future__ import annotations

import altair as alt
import pandas as pd

from lstm_parity.harness.text import significant

from ..data import parts_by, row_of_max
from ..findings import Findings
from ..labels import cells as cells_text
from ..labels import listed
from .chart import Chart, Feed, chart, columns, finish
from .encodings import ALARM, COLOURS, by_backend, log_axis, log_scale, tooltips

LABEL_ROOM = 30
"""The axis extends to here where labels are at its end, so that they do not cover the limit."""
MIN_BOUND = 1e-6
"""Errors below this share of the bound, 0 included, are drawn here: the axis is logarithmic."""


@chart(section="trust", order=20)
def error_over_bound(found: Findings) -> list[Chart]:
    """The largest error of every row over its bound."""
    cells = found.cells
    known = cells[cells["bound"].notna() | cells["status"].isin(["WRONG", "SUSPECT"])]
    if known.empty:
        return []
    y = alt.Y("backend:N", title=None, sort=found.view.backends, axis=alt.Axis(labelLimit=150))
    axis = log_axis("x", "format(datum.value, '~g')")
    x = alt.X("shown:Q", title="largest error over the allowed one", scale=log_scale(), axis=axis)
    base = alt.Chart().transform_calculate(
        shown=f"isValid(datum.bound) ? max(datum.bound, {MIN_BOUND!r}) : datum.status == 'WRONG' ? 10 : 1",
        number="isValid(datum.bound) ? format(datum.bound, '.3~g') : 'no number'",
    )
    tooltip = [*tooltips("backend", "steps", "batch", number="error / bound"), *tooltips("status", "reason")]
    bad = "datum.status == 'WRONG' || datum.status == 'SUSPECT'"
    ticks = base.transform_filter(f"isValid(datum.bound) && !({bad})").mark_tick(thickness=2, size=18, opacity=0.8)
    limit = alt.Chart(alt.Data(values=[{"x": 1}])).encode(x="x:Q")
    room = alt.Chart(alt.Data(values=[{"x": LABEL_ROOM}])).mark_point(opacity=0).encode(x="x:Q")
    labels = [
        base.transform_filter(f"datum.status == '{word}'")
        .mark_text(text=f"✗ {word}", fontWeight="bold", fontSize=11, color=ALARM, align="right", dx=-4, dy=dy)
        .encode(x=alt.value("width"), y=y, tooltip=tooltip)
        .properties(name=f"alarm_{word}")
        for word, dy in (("WRONG", -9), ("SUSPECT", 9))
    ]
    colour = alt.Color("backend:N", scale=by_backend(found.view, COLOURS), legend=None)
    layers = alt.layer(
        limit.mark_rule(strokeWidth=2, strokeDash=[6, 3], color="#57606a").properties(name="inked_limit"),
        limit.mark_text(text="limit", align="right", dx=-4, baseline="top", fontSize=12, color="#57606a")
        .encode(y=alt.value(2)).properties(name="inked_word"),
        ticks.encode(x=x, y=y, color=colour, tooltip=tooltip),
        base.transform_filter(bad).mark_text(text="✗", fontWeight="bold", fontSize=15, color=ALARM)
        .encode(x=x, y=y, tooltip=tooltip).properties(name="alarm"),
        *labels,
        *([room] if known["status"].isin(["WRONG", "SUSPECT"]).any() else []),
    )  # fmt: skip
    shown = Chart(
        name="error-over-bound",
        title="Errors against what rounding allows",
        spec=finish(layers, 560, 100),
        feeds={"rows": Feed("cells", cells)},
        captions={key: _caption(part) for key, part in parts_by(known, "group")},
        key="1 is the limit; the reason of each WRONG or SUSPECT row is in the table and in its tooltip.",
        line_height=("backend", 36),
        columns=columns("backend", "steps", "batch", "status", "bound", "bits", "reason"),
    )
    return [shown]


def _caption(part: pd.DataFrame) -> str:
    """Who is wrong, and the largest error of a right result."""
    wrong = part["status"].isin(["WRONG", "SUSPECT"])
    said = [
        f"{status} in {cells_text(len(rows))} ({listed([str(b) for b in dict.fromkeys(rows['backend'])])})"
        for status, rows in part[wrong].groupby("status")
    ]
    right = part[~wrong & part["bound"].notna()]
    if len(right):
        worst = row_of_max(right, right["bound"])
        at = f"{worst['backend']} at T={worst['steps']:,}, B={worst['batch']:,}"
        said.append(f"the largest error of a right result is {significant(worst['bound'])} of the allowed one ({at})")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."
