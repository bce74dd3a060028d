"""A report as one HTML file that needs no network: style, scripts and data inside."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from ..charts.chart import Chart, Column
from ..charts.encodings import COLOURS
from ..sanitize import escape_direction
from .content import Content
from .pack import as_object, in_script, packed
from .pictures import VEGA_LITE, start_of

SIZES = (("steps", "T", "sequence length"), ("batch", "B", "batch size"))
"""Field, letter and name of each size that a reader chooses."""
_CHOSEN = (
    Column("backend", "backend"),
    Column("status", "status"),
    Column("time", "time per call", "duration"),
    Column("{low:duration} to {high:duration}", "95% interval"),
    Column("over_least", "over the least median"),
    Column("reached", "floor reached", "percent"),
    Column("bits", "effective bits"),
    Column("bound", "error / bound"),
    Column("reason", "reason"),
)
"""The table of every backend at the chosen cell."""


def to_html(content: Content) -> str:
    """The page as one HTML file."""
    template = environment(autoescape=True, finalize=_escaped).get_template("report.html.j2")
    charts = bool(content.charts)
    data = Markup(in_script(page_data(content)))
    return template.render(content=content, data=data, bundle=_bundle() if charts else "", charts=charts)


def page_data(content: Content) -> str:
    """What the page's script reads, as JSON: the choices, the tables, and the charts with their captions by group."""
    found, view = content.found, content.found.view
    start: dict[str, Any] = {"group": view.start, **start_of(found.cells, view.start)}
    tables = {"cells": found.cells, "wins": found.wins}
    for chart in content.charts:
        start |= chart.start
        tables |= {feed.name: feed.table for feed in chart.feeds.values()}
    values = {
        "controls": [{"label": c.label, "options": c.options} for c in view.controls],
        "sizes": [{"field": field, "letter": letter, "name": name} for field, letter, name in SIZES],
        "precisionControl": next((n for n, c in enumerate(view.controls) if c.column == "precision"), -1),
        "groups": view.groups[[c.column for c in view.controls]].to_numpy().tolist(),
        "titles": list(view.groups["title"]),
        "descriptions": [
            [", ".join(view.describe(g, all_precisions=every)) for every in (False, True)] for g in view.groups.index
        ],
        "answer": {
            "answers": "wins",
            "records": "cells",
            "columns": [asdict(c) for c in _CHOSEN],
            "colourOf": "backend",
            "sortBy": "time",
        },
        "stamp": escape_direction(content.stamp),
        "start": start,
        "backends": view.backends,
        "colours": COLOURS,
        "charts": [_chart(c) for c in content.charts],
    }
    parts = {key: json.dumps(value, allow_nan=False) for key, value in values.items()}
    packed_tables = {name: as_object(packed(tables[name], len(view.groups))) for name in sorted(tables)}
    return as_object(parts | {"tables": as_object(packed_tables)})


def _chart(chart: Chart) -> dict[str, Any]:
    captions: dict[str, Any] = {}
    for (group, *at), text in chart.captions.items():
        captions.setdefault(str(group), {})["\n".join(map(str, at))] = text
    feeds = {
        name: {"table": f.name, "chosen": f.chosen, "allPrecisions": f.all_precisions, "allGroups": f.all_groups}
        for name, f in chart.feeds.items()
    }
    return {
        "name": chart.name,
        "title": chart.title,
        "spec": chart.spec,
        "feeds": feeds,
        "captions": captions,
        "captionedBy": chart.captioned_by,
        "columns": [asdict(c) for c in chart.columns],
        "choices": [{"field": field, "label": label} for field, label in chart.choices],
        "choiceText": chart.choice_text,
        "selectsCell": chart.selects_cell,
        "uniqueValues": dict(chart.unique_values),
        "lineHeight": chart.line_height,
    }


def _escaped(value: Any) -> Any:
    return escape_direction(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _bundle() -> str:
    """The scripts that draw the charts, in one."""
    make_bundle: Any = vl_convert.javascript_bundle  # its stub requires a snippet, which it does not need
    return str(make_bundle(vl_version=VEGA_LITE))


def environment(**options: Any) -> jinja2.Environment:
    """Reads the templates of this folder."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
