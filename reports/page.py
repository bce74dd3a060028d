"""From what a report says to Markdown and to one HTML file that needs no network."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from .chart_parts import Chart
from .tables import Table

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
"""The Vega-Lite version that Altair writes, as vl-convert names it."""


@dataclass(frozen=True, eq=False)
class Content:
    """What a page says, top to bottom. ran, failed, wins and where: sentences. tables: after the charts."""

    title: str
    ran: list[str]
    where: list[str]
    failed: list[str]
    wins: list[str]
    charts: list[Chart]
    tables: list[Table]
    command: str


class Raw(str):
    """Markdown that is written as it stands."""

    __slots__ = ()


def to_svg(chart: Chart) -> str:
    """The chart as SVG, drawn without any access to a network."""
    svg: str = vl_convert.vegalite_to_svg(json.dumps(chart.spec, allow_nan=False), vl_version=VEGA_LITE, allowed_base_urls=[])
    return svg


def to_markdown(content: Content) -> str:
    """The page as GitHub-flavoured Markdown; the charts are SVG files beside it."""
    template = _environment(autoescape=False, finalize=escape_markdown).get_template("report.md.j2")
    return template.render(content=content, code=indented)


def to_html(content: Content) -> str:
    """The page as one HTML file: style, scripts and data inside."""
    template = _environment(autoescape=True).get_template("report.html.j2")
    make_bundle: Any = vl_convert.javascript_bundle  # its stub asks for a snippet, which it does not need
    bundle = make_bundle(vl_version=VEGA_LITE)
    specs = [Markup(_script_json(c.spec)) for c in content.charts]
    return template.render(content=content, specs=specs, bundle=bundle)


def escape_markdown(value: Any) -> str:
    """Text that Markdown shows as it is, in a sentence or a table: one line, no markup, no HTML."""
    if isinstance(value, Raw):
        return value
    text = re.sub(r"\s+", " ", str(value))
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


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
