"""Speed-up over the baseline: a heat map of sequence length x batch size for each backend."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from .chart_parts import MOST_PANELS, MOST_SIZES, Chart, fewer, fewer_backends, finish, listed, panel_titles, slug
from .frame import varying
from .words import label, ratio

_SPEED_LABEL = (
    "abs(datum.value) < 0.001 ? 'same' : format(pow(2, abs(datum.value)), '.3~r') + (datum.value > 0 ? 'x faster' : 'x slower')"
)


def speed_chart(rows: pd.DataFrame, kind: str, order: list[str], baseline: str) -> Chart | None:
    """A panel for each backend and each further thing that varies; None unless both sizes vary.

    rows: those of one precision and mode (`kind`). order: all backends. baseline: what the rows' ratios are over.
    """
    ratios = rows[rows["ratio_to_baseline"].notna() & (rows["backend"] != baseline)]
    if ratios["sequence_length"].nunique() < 2 or ratios["batch_size"].nunique() < 2:
        return None
    notes: list[str] = []
    ratios = fewer_backends(ratios, order, notes)
    panels = ["backend", *(c for c in varying(ratios) if c not in ("sequence_length", "batch_size"))]
    ratios = ratios.assign(panel=ratios.groupby(panels, dropna=False, sort=True).ngroup())
    ratios = fewer(ratios, "panel", MOST_PANELS, f"combinations of {listed(panels)}", notes)
    for axis in ("sequence_length", "batch_size"):
        ratios = fewer(ratios, axis, MOST_SIZES, f"{label(axis)}s", notes)
    titles = panel_titles(ratios, panels)
    value, low, high = (ratios[c].to_numpy(dtype="float64") for c in ("ratio_to_baseline", "ratio_ci_low", "ratio_ci_high"))
    unclear = ~((low > 1) | (high < 1))
    words = [ratio(*three, baseline) for three in zip(value, low, high, strict=True)]
    speed = 1 / value
    data = pd.DataFrame(
        {
            "steps": ratios["sequence_length"].astype("int64"),
            "batch": ratios["batch_size"].astype("int64"),
            "faster": np.log2(speed),
            "text": ["=" if u else _short(s) for s, u in zip(speed, unclear, strict=True)],
            "words": words,
            "panel": ratios["panel"].map(titles),
            "status": ratios["status"].astype(object),
        }
    )
    reach = max(float(data["faster"].abs().max()), 0.1)
    colour = alt.Color(
        "faster:Q",
        title="against the baseline",  # not its name: Vega-Lite pastes titles into expressions, unescaped
        scale=alt.Scale(scheme="blueorange", domain=[-reach, reach], domainMid=0, reverse=True),
        legend=alt.Legend(
            labelExpr=_SPEED_LABEL, gradientLength=200, titleLimit=300, values=[-reach, -reach / 2, 0, reach / 2, reach]
        ),
    )
    base = alt.Chart().encode(
        x=alt.X(
            "steps:O", title="sequence length (time steps)", axis=alt.Axis(labelAngle=0, labelOverlap="greedy", format=",")
        ),
        y=alt.Y("batch:O", title="batch size", sort="descending", axis=alt.Axis(format=",")),
        tooltip=[
            alt.Tooltip("panel:N", title="what"),
            alt.Tooltip("steps:Q", title="sequence length", format=","),
            alt.Tooltip("batch:Q", title="batch size", format=","),
            alt.Tooltip("words:N", title="speed, 95% interval"),
            alt.Tooltip("status:N"),
        ],
    )
    ink = alt.condition(
        f"datum.faster > {0.55 * reach!r} || datum.faster < {-0.8 * reach!r}", alt.value("white"), alt.value("black")
    )
    layers = alt.layer(
        base.mark_rect(stroke="white").encode(color=colour),
        base.mark_text(fontSize=11).encode(text="text:N", color=ink),
    )
    caption = (
        f"Numbers: how many times as fast as {baseline}; =: the 95% interval of the ratio includes 1. "
        "Blank: one of the two has no time."
    )
    wide = min(640, 90 + 46 * data["steps"].nunique())
    spec = finish(layers, data, titles, wide, max(90, 24 + 26 * data["batch"].nunique()))
    return Chart(slug(f"speed up {kind}"), f"Speed-up over {baseline}: {kind}", " ".join([caption, *notes]), spec)


def _short(speed: float) -> str:
    return f"{speed:.3g}" if 0.95 < speed < 1.05 else f"{speed:.2g}" if speed < 9.95 else f"{speed:.0f}"
