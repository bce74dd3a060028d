"""Speed-up of one backend over another: a heat map of sequence length x batch size."""

from __future__ import annotations

import altair as alt
import pandas as pd

from .chart_parts import Chart, Feed, finish, largest, parts
from .drawn import Drawn
from .words import cells, significant

_LABEL = (
    "abs(datum.value) < 0.001 ? 'same' : format(pow(2, abs(datum.value)), '.2~r') + (datum.value > 0 ? 'x faster' : 'x slower')"
)
_SAID = (
    "(datum.ratio < 1 ? format(1 / datum.ratio, '.3~r') + 'x faster' : format(datum.ratio, '.3~r') + 'x slower')"
    " + (isValid(datum.low) ? ' (' + (datum.ratio < 1 ? format(1 / datum.high, '.3~r') + ' to ' + format(1 / datum.low, '.3~r')"
    " : format(datum.low, '.3~r') + ' to ' + format(datum.high, '.3~r')) + ')' : ' (no interval)')"
)


def speed_chart(drawn: Drawn, ratios: pd.DataFrame) -> Chart | None:
    """The heat map of any two backends whose ratios there are; None where there is no ratio."""
    if ratios.empty:
        return None
    x = alt.X("steps:O", title="sequence length T (time steps)", axis=alt.Axis(labelAngle=0, labelOverlap="greedy", format=","))
    y = alt.Y("batch:O", title="batch size B", sort="descending", axis=alt.Axis(format=","))
    base = (
        alt.Chart()
        .transform_calculate(
            faster="clamp(-log(datum.ratio) / LN2, -3, 3)",
            clear="isValid(datum.low) && (datum.low > 1 || datum.high < 1)",
            said=_SAID,
            times="format(1 / datum.ratio, 1 / datum.ratio >= 0.95 && 1 / datum.ratio < 1.05 ? '.3~r' : '.2~r')",
        )
        .transform_calculate(
            text="datum.clear ? datum.times : isValid(datum.low) ? '=' : '(' + datum.times + ')'",
            ink="abs(datum.faster) > 1.7 ? '#ffffff' : '#000000'",
        )
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("backend:N"),
                alt.Tooltip("base:N", title="against"),
                alt.Tooltip("steps:Q", title="sequence length", format=","),
                alt.Tooltip("batch:Q", title="batch size", format=","),
                alt.Tooltip("said:N", title="speed, 95% interval"),
                alt.Tooltip("status:N"),
            ],
        )
    )
    colour = alt.Color(
        "faster:Q",
        title=None,
        scale=alt.Scale(range=["#7a3300", "#e08a3c", "#f5f2ec", "#5a9bd0", "#0b3d6b"], domain=[-3, -1, 0, 1, 3]),
        legend=alt.Legend(labelExpr=_LABEL, gradientLength=260, values=[-3, -1, 0, 1, 3], orient="bottom"),
    )
    layers = alt.layer(
        base.mark_rect(stroke="#b9c1ca").encode(color=colour),
        base.mark_text(fontSize=12).encode(text="text:N", color=alt.Color("ink:N", scale=None)),
    ).resolve_scale(color="independent")
    return Chart(
        name="speed-up",
        title="Speed-up of one backend over another",
        spec=finish(layers, 760, 100),
        feeds={"rows": Feed("ratios", ("backend", "base"))},
        captions={
            (int(g), f"{backend}\n{base}"): _caption(part, backend, base)
            for (g, backend, base), part in parts(ratios, ["group", "backend", "base"])
        },
        lines=("batch", 32),
        columns=(
            ("backend", "backend"), ("base", "against"), ("steps", "sequence length"), ("batch", "batch size"),
            ("ratio", "time over its time"), ("low", "from"), ("high", "to"), ("status", "status"),
        ),
        slice_by="pair",
        wide=True,
    )  # fmt: skip


def _caption(part: pd.DataFrame, backend: str, base: str) -> str:
    """How often faster and slower, and the extremes."""
    faster, slower = part[part["high"] < 1], part[part["low"] > 1]
    says = [f"{backend} against {base}: faster in {len(faster)} of {cells(len(part))}, slower in {len(slower)}"]
    if len(faster):
        fast = largest(faster, -faster["ratio"])
        says.append(f"Furthest ahead at T={fast['steps']:,}, B={fast['batch']:,}: {significant(1 / fast['ratio'])}x")
    if len(slower):
        slow = largest(slower, slower["ratio"])
        says.append(f"Furthest behind at T={slow['steps']:,}, B={slow['batch']:,}: {significant(slow['ratio'])}x")
    return (
        ". ".join(says)
        + ". Numbers: how many times as fast; =: the 95% interval includes 1; in brackets: no interval, too few common samples."
    )
