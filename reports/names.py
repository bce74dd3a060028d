"""Names of backends as a page can show them: not too long, and with nothing in them that turns the text around."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from .frame import ReportData, parsed

MOST_SIGNS = 64
_TURNING = r"\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SIGNS = re.compile(f"(\u2068[^{_TURNING}]*\u2069)|[{_TURNING}]")
_LEFTWARD = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
"""Letters of scripts that are written from right to left."""
_INHERITED = re.compile("constructor|hasOwnProperty|isPrototypeOf|propertyIsEnumerable|to(Locale)?String|valueOf|__.*__")


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """What each name is shown as, no two alike: signs that set the direction of text are spelled out, the middle left out.

    A name that every object of JavaScript has stands in quotes: what draws the charts would find that in place of ours.
    A name in a script that is written from right to left stands apart (U+2068, U+2069), so that figures beside it keep theirs.
    """
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        text = steady(name.replace("\u2068", "\\u2068"))
        if _INHERITED.fullmatch(text):
            text = f"'{text}'"
        if len(text) > MOST_SIGNS:
            text = f"{text[: MOST_SIGNS // 2]}…{text[-MOST_SIGNS // 2 + 1 :]}"
        wanted, number = text, 1
        while text in taken:
            number += 1
            text = f"{wanted} ({number})"
        taken.add(text)
        shown[name] = f"\u2068{text}\u2069" if _LEFTWARD.search(text) else text
    return shown


def steady(text: str) -> str:
    """The text with the signs that set its direction spelled out, but for those of a name that stands apart."""
    return _SIGNS.sub(lambda sign: sign[1] or f"\\u{ord(sign[0]):04x}", text)


def renamed(data: ReportData, names: Mapping[str, str]) -> ReportData:
    """The data with the shown names."""
    runs = data.runs
    if any(a != b for a, b in names.items()):
        runs = runs.assign(definition=[_definition(text, names) for text in runs["definition"]])
    verdicts = data.verdicts.assign(backend=_mapped(data.verdicts["backend"], names))
    return replace(data, rows=data.rows.assign(backend=_mapped(data.rows["backend"], names)), runs=runs, verdicts=verdicts)


def _mapped(backends: pd.Series[Any], names: Mapping[str, str]) -> pd.Series[Any]:
    return backends if backends.empty else backends.map(lambda b: names.get(b, b))


def _definition(text: Any, names: Mapping[str, str]) -> str:
    found = parsed(text)
    if "baseline" in found:
        found["baseline"] = names.get(found["baseline"], found["baseline"])
    return json.dumps(found)
