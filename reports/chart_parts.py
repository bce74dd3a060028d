"""What the charts have in common: their limits, their panels, and the description's last touch.

What a chart can hold is limited, so that a page of a huge sweep still opens: see the limits below. What was left out is said in
the chart's caption; every number is in results.csv.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .words import label, phrase

MOST_PANELS = 6
MOST_SIZES = 16
MOST_BACKENDS = 16
"""A line chart then has at most 6 x 16 x 16 = 1,536 points, a heat map as many rectangles: below Altair's limit of 5,000."""


@dataclass(frozen=True)
class Chart:
    """name: the SVG's file name without its ending. spec: the Vega-Lite description, data included."""

    name: str
    title: str
    caption: str
    spec: dict[str, Any]


def finish(layers: alt.LayerChart, data: pd.DataFrame, titles: dict[int, str], width: int, height: int) -> dict[str, Any]:
    """The description, with one panel for each title; a single panel needs none."""
    layers = layers.properties(width=width, height=height)
    values = alt.Data(values=data.astype(object).where(data.notna(), None).to_dict("records"))  # JSON knows no NaN
    if len(titles) == 1:
        title = next(iter(titles.values()))
        chart: Any = layers.properties(data=values, **({"title": title} if title else {}))
    else:
        header = alt.Header(labelFontSize=12, labelFontWeight="bold", labelLimit=width)
        facet = alt.Facet("panel:N", title=None, sort=list(titles.values()), header=header)
        chart = layers.facet(facet=facet, data=values, columns=2)
    chart = chart.configure_view(stroke="#ddd").configure_axis(gridColor="#e8e8e8", labelFontSize=11, titleFontSize=12)
    chart = chart.configure_title(fontSize=12).configure_legend(labelFontSize=12, titleFontSize=12)
    spec: dict[str, Any] = chart.to_dict()
    del spec["$schema"]  # an address that nothing needs: page and SVG name the version themselves
    return spec


def fewer(rows: pd.DataFrame, column: str, most: int, what: str, notes: list[str]) -> pd.DataFrame:
    """Only `most` values of the column, evenly spread over the sorted ones, first and last among them; says so in notes."""
    values = np.sort(rows[column].unique())
    if len(values) <= most:
        return rows
    kept = values[np.linspace(0, len(values) - 1, most).round().astype(int)]
    notes.append(f"Drawn: {most} of {len(values):,} {what}, evenly spread.")
    return rows[rows[column].isin(kept)]


def fewer_backends(rows: pd.DataFrame, order: list[str], notes: list[str]) -> pd.DataFrame:
    """Only the MOST_BACKENDS backends with the most rows (ties: the first in `order`); says so in notes."""
    if rows["backend"].nunique() <= MOST_BACKENDS:
        return rows
    counts = rows["backend"].value_counts()
    kept = sorted(counts.index, key=lambda b: (-counts[b], order.index(b)))[:MOST_BACKENDS]
    notes.append(f"Drawn: the {MOST_BACKENDS} backends with the most times of {rows['backend'].nunique():,}.")
    return rows[rows["backend"].isin(kept)]


def panel_titles(rows: pd.DataFrame, panels: list[str]) -> dict[int, str]:
    """A title for each value of rows.panel, in order: what its rows share and other panels do not."""
    heads = rows.drop_duplicates("panel").sort_values("panel")
    words = [[str(v) if c == "backend" else phrase(c, v) for v in heads[c]] for c in panels]
    return {int(p): ", ".join(w[i] for w in words) for i, p in enumerate(heads["panel"])}


def listed(columns: list[str]) -> str:
    """The columns' names for people, in a row."""
    return ", ".join(label(c) for c in columns)


def slug(text: str) -> str:
    """The text as a file name: lower-case letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
