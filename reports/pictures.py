"""The charts as pictures: for each precision and mode, at the group with most times, one SVG a chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from .chart_parts import Chart, filled, slug
from .content import Content
from .drawn import Drawn, middle
from .records import chosen

MOST_KINDS = 4
MOST_RIVALS = 2
MOST_POINTS = 600
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
"""The Vega-Lite version that Altair writes, as vl-convert names it."""


@dataclass(frozen=True)
class Picture:
    """name: a file name without its ending. svg: the drawing."""

    name: str
    title: str
    caption: str
    svg: str


def start_of(table: pd.DataFrame, group: int) -> dict[str, object]:
    """The sizes at which a group's charts begin."""
    mine = table[(table["group"] == group) & table["time"].notna()]
    if mine.empty:
        mine = table[table["group"] == group]
    return {c: middle(mine[c]) for c in ("steps", "batch")}


def pictures(content: Content, charts: list[Chart]) -> list[Picture]:
    """The pictures of these charts; no name twice."""
    drawn, found, taken = content.drawn, [], dict[str, int]()
    for chart in charts:
        for group in _groups(drawn, chart):
            held = start_of(content.records["cells"], group)
            for rival in _rivals(content, chart, group):
                here = held | {"backend": rival, "base": content.baseline}
                picture = _picture(content, chart, group, here)
                if picture is None:
                    continue
                taken[picture.name] = taken.get(picture.name, 0) + 1
                number = taken[picture.name]  # two precisions may differ in signs alone
                found.append(Picture(f"{picture.name}-{number}", *_rest(picture)) if number > 1 else picture)
    return found


def _rest(picture: Picture) -> tuple[str, str, str]:
    return picture.title, picture.caption, picture.svg


def _groups(drawn: Drawn, chart: Chart) -> list[int]:
    """For each precision and mode (mode alone, where all precisions are in one chart) the group with most times."""
    if chart.feeds["rows"].everywhere:
        return [0]
    times = drawn.rows.loc[drawn.rows["timed"], "group"].value_counts().reindex(drawn.groups.index, fill_value=0)
    by = ["in_mode"] if chart.feeds["rows"].across else ["in_precision", "in_mode"]
    best = drawn.groups.assign(times=times).sort_values("times", ascending=False, kind="stable").drop_duplicates(by)
    kinds = best[best["times"] > 0].head(MOST_KINDS).sort_index()
    return [int(g) for g in kinds.index]


def _rivals(content: Content, chart: Chart, group: int) -> Sequence[str | None]:
    if chart.slice_by != "pair":
        return [None]
    ratios = content.records["ratios"]
    there = set(ratios.loc[(ratios["group"] == group) & (ratios["base"] == content.baseline), "backend"])
    return [b for b in content.drawn.backends if b in there][:MOST_RIVALS]


def _picture(content: Content, chart: Chart, group: int, held: dict[str, object]) -> Picture | None:
    drawn = content.drawn
    data = {n: chosen(content.records[f.table], f, drawn, group, held) for n, f in chart.feeds.items()}
    if data["rows"].empty:
        return None
    at = {None: group, "pair": (group, f"{held['backend']}\n{held['base']}")}.get(
        chart.slice_by, (group, held.get(chart.slice_by or ""))
    )
    caption = chart.captions.get(at)
    if caption is None:
        return None
    if (count := len(data["rows"])) > MOST_POINTS:  # never one of the maps, which have fewer cells
        data["rows"] = data["rows"].iloc[np.linspace(0, count - 1, MOST_POINTS).round().astype(int)]
        caption += f" The picture shows {MOST_POINTS:,} of {count:,} rows, evenly spread."
    first = chart.feeds["rows"]
    if {"steps", "batch"} <= set(first.held):
        caption = f"Shown: T={held['steps']:,}, B={held['batch']:,}. {caption}"
    kind = "" if first.everywhere else str(drawn.groups["in_mode"][group])
    if not first.across and not first.everywhere:
        kind = f"{drawn.groups['in_precision'][group]} {kind}"
    title = f"{chart.title}: {_where(content, chart, group, held)}" if kind else chart.title
    name = f"{chart.name} {kind}"
    if chart.slice_by == "pair" and held["backend"] != next(b for b in drawn.backends if b != content.baseline):
        name += f" {held['backend']}"
    svg: str = vl_convert.vegalite_to_svg(
        json.dumps(filled(chart, data), allow_nan=False), vl_version=VEGA_LITE, allowed_base_urls=[]
    )
    return Picture(slug(name), title, caption, svg)


def group_words(drawn: Drawn, group: int, *, across: bool) -> list[str]:
    """What a group is, in words. across: for a chart that shows all precisions of it, so without its own."""
    kind = [str(drawn.groups[c][group]) for c in ("in_precision", "in_mode")]
    more = [word for word in str(drawn.groups["title"][group]).split(", ") if word and word not in kind]
    return [*kind[across:], *more]


def _where(content: Content, chart: Chart, group: int, held: dict[str, object]) -> str:
    """What a picture is of, where the page has controls."""
    parts = group_words(content.drawn, group, across=chart.feeds["rows"].across)
    for field, words in (("steps", "sequence length"), ("batch", "batch size")):
        if field in chart.feeds["rows"].held:
            parts.append(f"{words} {held[field]:,}")
    if chart.slice_by == "pair":
        parts.append(f"{held['backend']} against {held['base']}")
    return ", ".join(parts)
