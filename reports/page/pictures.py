"""The charts as pictures: for each precision and mode the group with most times, one SVG a chart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from ..charts.chart import Chart, Feed, filled
from ..labels import slug
from ..view import View, middle
from .content import Content

MAX_KINDS = 4
MAX_POINTS = 600
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
"""The Vega-Lite version that Altair writes, as vl-convert names it."""


@dataclass(frozen=True)
class Picture:
    """A chart of one choice."""

    name: str
    """A file name without its ending."""
    title: str
    caption: str
    key: str
    """How to read its marks."""
    svg: str


def start_of(cells: pd.DataFrame, group: int) -> dict[str, Any]:
    """The sizes at which a group's charts begin."""
    mine = cells[(cells["group"] == group) & cells["time"].notna()]
    if mine.empty:
        mine = cells[cells["group"] == group]
    return {c: middle(mine[c]) for c in ("steps", "batch")}


def pictures(content: Content, charts: list[Chart]) -> list[Picture]:
    """The pictures of these charts; no name twice."""
    found, taken = [], dict[str, int]()
    for chart in charts:
        for group in _groups(content.found.view, chart):
            sizes = start_of(content.found.cells, group)
            choices: Sequence[Mapping[str, str]] = chart.pictured.get(group, ()) if chart.choices else ({},)
            for number, choice in enumerate(choices):
                picture = _picture(
                    content, chart, group, {**sizes, **choice}, suffix=" ".join(list(choice.values())[:1]) * bool(number)
                )
                if picture is None:
                    continue
                taken[picture.name] = count = taken.get(picture.name, 0) + 1  # two precisions may differ in punctuation alone
                found.append(replace(picture, name=f"{picture.name}-{count}") if count > 1 else picture)
    return found


def _groups(view: View, chart: Chart) -> list[int]:
    """For each precision and mode (mode alone, where all precisions are in one chart) the group with most times."""
    if chart.feeds["rows"].all_groups:
        return [0]
    times = view.rows.loc[view.rows["timed"], "group"].value_counts().reindex(view.groups.index, fill_value=0)
    by = ["in_mode"] if chart.feeds["rows"].all_precisions else ["in_precision", "in_mode"]
    best = view.groups.assign(times=times).sort_values("times", ascending=False, kind="stable").drop_duplicates(by)
    kinds = best[best["times"] > 0].head(MAX_KINDS).sort_index()
    return [int(g) for g in kinds.index]


def _chosen(feed: Feed, view: View, group: int, at: Mapping[str, Any]) -> pd.DataFrame:
    """The records of a feed at a group and chosen values."""
    groups = view.all_precisions(group) if feed.all_precisions else [0] if feed.all_groups else [group]
    keep = feed.table["group"].isin(groups)
    for field in feed.chosen:
        keep &= feed.table[field] == at[field]
    return feed.table[keep].drop(columns="group")


def _picture(content: Content, chart: Chart, group: int, at: Mapping[str, Any], suffix: str) -> Picture | None:
    view, first = content.found.view, chart.feeds["rows"]
    data = {name: _chosen(feed, view, group, at) for name, feed in chart.feeds.items()}
    caption = chart.captions.get((group, *(at[field] for field in chart.captioned_by)))
    if data["rows"].empty or caption is None:
        return None
    if (count := len(data["rows"])) > MAX_POINTS:  # never one of the maps, which have fewer cells
        data["rows"] = data["rows"].iloc[np.linspace(0, count - 1, MAX_POINTS).round().astype(int)]
        caption += f" The picture shows {MAX_POINTS:,} of {count:,} rows, evenly spread."
    if {"steps", "batch"} <= set(first.chosen):
        caption = f"Shown: T={at['steps']:,}, B={at['batch']:,}. {caption}"
    kind = "" if first.all_groups else str(view.groups["in_mode"][group])
    if not first.all_precisions and not first.all_groups:
        kind = f"{view.groups['in_precision'][group]} {kind}"
    title = f"{chart.title}: {_where(chart, view, group, at)}" if kind else chart.title
    spec = json.dumps(filled(chart, data), allow_nan=False)
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    return Picture(slug(f"{chart.name} {kind} {suffix}"), title, caption, chart.key, svg)


def _where(chart: Chart, view: View, group: int, at: Mapping[str, Any]) -> str:
    """What a picture shows, which the page says in its menus."""
    first = chart.feeds["rows"]
    parts = view.describe(group, all_precisions=first.all_precisions)
    parts += [
        f"{name} {at[field]:,}"
        for field, name in (("steps", "sequence length"), ("batch", "batch size"))
        if field in first.chosen
    ]
    return ", ".join([*parts, *([chart.choice_text.format(**at)] if chart.choices else [])])
