"""From what a report says to Markdown and to one HTML file that needs no network."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from .chart_parts import COLOURS, Chart
from .content import Content
from .names import steady
from .pack import as_object, in_script, packed
from .pictures import VEGA_LITE, Picture, group_words, start_of


class Raw(str):
    """Markdown that is written as it stands."""

    __slots__ = ()


def to_markdown(content: Content, pictures: dict[str, list[Picture]]) -> str:
    """The page as GitHub-flavoured Markdown; pictures: of each section, SVG files beside it."""
    template = _environment(autoescape=False, finalize=escape_markdown).get_template("report.md.j2")
    return template.render(content=content, pictures=pictures, code=indented)


def to_html(content: Content) -> str:
    """The page as one HTML file: style, scripts and data inside."""
    template = _environment(autoescape=True, finalize=_steady).get_template("report.html.j2")
    charts = [c for s in content.sections for c in s.charts]
    data = Markup(in_script(page_data(content, charts)))
    return template.render(content=content, data=data, bundle=_bundle() if charts else "", charts=bool(charts))


def page_data(content: Content, charts: list[Chart]) -> str:
    """What the page's script reads, as JSON: the choices, the tables, and the charts with their captions by group."""
    drawn = content.drawn
    start: dict[str, Any] = {"group": drawn.start, **start_of(content.records["cells"], drawn.start)}
    start |= _first_pair(content)
    tables = {f.table for c in charts for f in c.feeds.values()} | {"cells", "wins"}
    controls = [{"label": c.label, "options": c.options} for c in drawn.controls]
    choices = drawn.groups[[c.column for c in drawn.controls]].to_numpy().tolist()
    return as_object(
        {
            "controls": json.dumps(controls),
            "precisionControl": json.dumps(next((n for n, c in enumerate(drawn.controls) if c.column == "precision"), -1)),
            "groups": json.dumps(choices),
            "titles": json.dumps(list(drawn.groups["title"])),
            "words": json.dumps(
                [[", ".join(group_words(drawn, g, across=across)) for across in (False, True)] for g in drawn.groups.index]
            ),
            "stamp": json.dumps(steady(content.stamp)),
            "start": json.dumps(start),
            "backends": json.dumps(drawn.backends),
            "failed": json.dumps(content.failed),
            "colours": json.dumps(COLOURS),
            "tables": as_object({t: as_object(packed(content.records[t], len(drawn.groups))) for t in sorted(tables)}),
            "charts": json.dumps([_chart(c) for c in charts], allow_nan=False),
        }
    )


def _first_pair(content: Content) -> dict[str, str]:
    """Two backends whose speed-up is shown first: over the baseline, where that has a time."""
    ratios = content.records["ratios"]
    here = ratios[ratios["group"] == content.drawn.start]
    for table in (here[here["base"] == content.baseline], here, ratios):
        if len(table):
            return {"backend": str(table["backend"].iloc[0]), "base": str(table["base"].iloc[0])}
    others = [b for b in content.drawn.backends if b != content.baseline]
    return {"backend": others[0] if others else content.baseline, "base": content.baseline}


def _steady(value: Any) -> Any:
    return steady(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _bundle() -> str:
    """The scripts that draw the charts, in one."""
    make_bundle: Any = vl_convert.javascript_bundle  # its stub asks for a snippet, which it does not need
    return str(make_bundle(vl_version=VEGA_LITE))


def _chart(chart: Chart) -> dict[str, Any]:
    captions: dict[str, Any] = {}
    for key, text in chart.captions.items():
        group, at = key if isinstance(key, tuple) else (key, "")
        captions.setdefault(str(group), {})[str(at)] = text
    feeds = {
        n: {"table": f.table, "held": f.held, "across": f.across, "everywhere": f.everywhere} for n, f in chart.feeds.items()
    }
    return {"name": chart.name, "title": chart.title, "spec": chart.spec, "feeds": feeds, "captions": captions,
            "columns": chart.columns, "sliceBy": chart.slice_by, "lists": dict(chart.lists), "lines": chart.lines}  # fmt: skip


def escape_markdown(value: Any) -> str:
    """Text that Markdown shows as it is, in a sentence or a table: one line, no markup, no HTML."""
    if isinstance(value, Raw):
        return value
    text = re.sub(r"\s+", " ", steady(str(value)))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]{}|#~!$])", r"\\\1", text)
    return re.sub(r"^([-+=]|\d+[.)])(?=\s|$)", lambda m: f"{m[0][:-1]}\\{m[0][-1]}", text)


def indented(text: str) -> Raw:
    """A code block, by indentation, which nothing in the text can end."""
    return Raw("\n".join(f"    {line}" for line in text.splitlines()))


def _environment(**options: Any) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
