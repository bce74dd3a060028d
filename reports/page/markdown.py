"""A report as GitHub-flavoured Markdown, with its pictures as SVG files in the same folder."""

from __future__ import annotations

from typing import Any

from lstm_parity.harness import text

from ..sanitize import escape_direction
from .content import Content
from .html import environment
from .pictures import Picture


class Raw(str):
    """Markdown that is written as it is."""

    __slots__ = ()


def to_markdown(content: Content, pictures: dict[str, list[Picture]]) -> str:
    """The page as Markdown; pictures: of each section, by its key."""
    template = environment(autoescape=False, finalize=escape_markdown).get_template("report.md.j2")
    return template.render(content=content, pictures=pictures, code=indented)


def escape_markdown(value: Any) -> str:
    """Text that Markdown shows as it is, in a sentence or a table: one line, no markup, no HTML."""
    return value if isinstance(value, Raw) else text.escape_markdown(escape_direction(str(value)))


def indented(code: str) -> Raw:
    """A code block, by indentation, which nothing in the code can end."""
    return Raw("\n".join(f"    {line}" for line in code.splitlines()))
