"""Time against one size: medians with their intervals, a line a backend, both axes logarithmic."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from .chart_parts import MOST_PANELS, MOST_SIZES, Chart, fewer, fewer_backends, finish, listed, panel_titles, slug
from .frame import varying
from .words import duration, duration_interval, label

# Okabe and Ito's colours, told apart with any common colour blindness; yellow, too pale on white, is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left")

_TIME_LABEL = (
    "datum.value >= 0.999 ? format(datum.value, '~r') + ' s'"
    " : datum.value >= 0.999e-3 ? format(datum.value * 1e3, '~r') + ' ms'"
    " : datum.value >= 0.999e-6 ? format(datum.value * 1e6, '~r') + ' µs' : format(datum.value * 1e9, '~r') + ' ns'"
)


def time_chart(rows: pd.DataFrame, axis: str, kind: str, order: list[str]) -> Chart | None:
    """A panel for each combination of the other things that vary; None unless the size `axis` varies within one.

    rows: those of one precision and mode (`kind`). order: all backends, which decides their colours and shapes.
    """
    panels = [c for c in varying(rows) if c != axis]
    rows = rows.assign(panel=rows.groupby(panels, dropna=False, sort=True).ngroup() if panels else 0)
    rows = rows[rows[axis].groupby(rows["panel"]).transform("nunique") > 1]
    if rows.empty:
        return None
    notes: list[str] = []
    rows = fewer_backends(rows, order, notes)
    rows = fewer(rows, "panel", MOST_PANELS, f"combinations of {listed(panels)}", notes)
    rows = fewer(rows, axis, MOST_SIZES, f"{label(axis)}s", notes)
    titles = panel_titles(rows, panels)
    data = _with_gaps(
        pd.DataFrame(
            {
                "x": rows[axis].astype("int64"),
                "time": rows["median_s"],
                "low": rows["ci_low_s"],
                "high": rows["ci_high_s"],
                "backend": rows["backend"].astype(object),
                "panel": rows["panel"].map(titles),
                "shown": [duration(s) for s in rows["median_s"]],
                "interval": [duration_interval(a, b) for a, b in zip(rows["ci_low_s"], rows["ci_high_s"], strict=True)],
                "status": rows["status"].astype(object),
            }
        )
    )
    drawn = [b for b in order if b in set(data["backend"])]
    every = [order.index(b) for b in drawn]
    colour = alt.Color(
        "backend:N",
        title="backend",
        scale=alt.Scale(domain=drawn, range=[COLOURS[i % len(COLOURS)] for i in every]),
        legend=alt.Legend(labelLimit=420, symbolSize=90, orient="bottom", columns=3),
    )
    shape = alt.Shape(
        "backend:N", title="backend", scale=alt.Scale(domain=drawn, range=[SHAPES[i % len(SHAPES)] for i in every])
    )
    sizes = sorted({int(x) for x in data["x"]})
    x = alt.X(
        "x:Q",
        title=label(axis) + (" (time steps)" if axis == "sequence_length" else " (sequences)"),
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(format=",~r", values=sizes, labelOverlap="greedy", labelSeparation=6),
    )
    low, high = float(data[["low", "time"]].min().min()), float(data[["high", "time"]].max().max())
    y = alt.Y(
        "time:Q",
        title="time per call, median",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(labelExpr=_TIME_LABEL, values=_ticks(low, high), labelOverlap="greedy"),
    )
    tooltip = [
        alt.Tooltip("backend:N"),
        alt.Tooltip("x:Q", title=label(axis), format=","),
        alt.Tooltip("shown:N", title="median time"),
        alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("status:N"),
        alt.Tooltip("panel:N", title="at"),
    ]
    base = alt.Chart().encode(x=x, y=y, color=colour, tooltip=tooltip)
    dots = base.encode(shape=shape)
    unstable = (data["status"] == "UNSTABLE").any()
    marks = [
        base.mark_line(strokeWidth=1.6, opacity=0.75, invalid="break-paths-filter-domains"),
        base.mark_rule(strokeWidth=1.6).encode(y="low:Q", y2="high:Q").transform_filter("isValid(datum.low)"),
        dots.mark_point(size=60, filled=True, opacity=1).transform_filter(alt.datum.status == "PASSED"),
    ]
    if unstable:
        hollow = dots.mark_point(size=70, filled=False, fill="white", strokeWidth=2)
        marks.append(hollow.transform_filter(alt.datum.status == "UNSTABLE"))
    layers = alt.layer(*marks)
    notes = ["Vertical bars: 95% interval of the median.", "Both axes are logarithmic.", *notes]
    if unstable:
        notes.insert(0, "Hollow marks: UNSTABLE, for the reason in the table of rows that are not PASSED.")
    title = f"Time against {label(axis)}: {kind}"
    return Chart(slug(f"time vs {label(axis)} {kind}"), title, " ".join(notes), finish(layers, data, titles, 400, 280))


def _with_gaps(data: pd.DataFrame) -> pd.DataFrame:
    """The data with an empty point wherever a line would bridge a size at which its backend has no time."""
    sizes = data[["panel", "x"]].drop_duplicates()
    wanted = data[["panel", "backend"]].drop_duplicates().merge(sizes, on="panel")
    whole = wanted.merge(data, on=["panel", "backend", "x"], how="left")
    return whole.sort_values(["panel", "backend", "x"]).reset_index(drop=True)


def _ticks(low: float, high: float) -> list[float]:
    """Ticks of a time axis, in seconds.

    Powers of ten, with 2 and 5 between them below three decades; below a factor of 4, round numbers at equal steps.
    """
    if high < 4 * low:
        aim = (high - low or low) / 4
        power = 10.0 ** np.floor(np.log10(aim))
        step = max(k * power for k in (1, 2, 5) if k * power <= aim)
        first, last = int(np.floor(low / step)), int(np.ceil(high / step))
        return [float(f"{k * step:.9g}") for k in range(first - 1, last + 2) if k > 0]
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    inside = (1, 2, 5) if high < 1000 * low else (1,)
    return [float(f"{k}e{d}") for d in decades for k in inside]
