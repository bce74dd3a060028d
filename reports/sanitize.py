"""Text of a store made fit for pages, pictures and files: unprintable characters are escaped, long names shortened.

Control characters, line separators, lone surrogates and Unicode noncharacters crash the library that renders a picture, or
cannot be encoded as UTF-8. Characters that change the direction of text would reorder what follows them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from .data import ReportData, parse_object

MAX_NAME = 64
_DIRECTION = r"\u200e\u200f\u202a-\u202e\u2066-\u2069"
_DIRECTION_MARKS = re.compile(f"(\u2068[^{_DIRECTION}]*\u2069)|[{_DIRECTION}]")
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
"""Letters of scripts that are written from right to left."""
_JAVASCRIPT = re.compile("constructor|hasOwnProperty|isPrototypeOf|propertyIsEnumerable|to(Locale)?String|valueOf|__.*__")
_UNPRINTABLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane + last) for plane in range(0x10000, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_JSON = frozenset({"fingerprint", "definition", "summary", "checks", "effective_bits", "survivors", "false_alarms"})


def printable(data: ReportData) -> ReportData:
    """The data with all unprintable characters escaped, in JSON those of its strings."""
    changed: dict[str, Any] = {}
    for field in fields(data):
        held = getattr(data, field.name)
        changed[field.name] = _frame(held) if isinstance(held, pd.DataFrame) else escape(held)
    return replace(data, **changed)


def escape(value: Any) -> Any:
    """Text with unprintable characters as `\\u001b`, also within lists and dicts; other values unchanged."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", value)
    if isinstance(value, list):
        return [escape(v) for v in value]
    if isinstance(value, dict):
        return {escape(k): escape(v) for k, v in value.items()}
    return value


def _frame(frame: pd.DataFrame) -> pd.DataFrame:
    changed = {}
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            new = {v: _json(v) if name in _JSON else escape(v) for v in frame[name].unique() if isinstance(v, str)}
            if any(a != b for a, b in new.items()):
                changed[name] = frame[name].map(lambda v, new=new: new.get(v, v) if isinstance(v, str) else v)
    return frame.assign(**changed)


def _json(text: str) -> str:
    try:
        return json.dumps(escape(json.loads(text, strict=False)))
    except json.JSONDecodeError:
        return str(escape(text))


def display_names(names: Iterable[str]) -> dict[str, str]:
    """What each backend is displayed as, all different: direction marks are escaped, the middle of a long name is left out.

    A property that every JavaScript object inherits is quoted: the chart library would find that one in place of the backend.
    A name in a right-to-left script is isolated (U+2068, U+2069), so that the numbers next to it keep their direction.
    """
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        text = escape_direction(name.replace("\u2068", "\\u2068"))
        if _JAVASCRIPT.fullmatch(text):
            text = f"'{text}'"
        if len(text) > MAX_NAME:
            text = f"{text[: MAX_NAME // 2]}…{text[-MAX_NAME // 2 + 1 :]}"
        wanted, number = text, 1
        while text in taken:
            number += 1
            text = f"{wanted} ({number})"
        taken.add(text)
        shown[name] = f"\u2068{text}\u2069" if _RIGHT_TO_LEFT.search(text) else text
    return shown


def escape_direction(text: str) -> str:
    """The text with direction marks escaped, except those that isolate a name."""
    return _DIRECTION_MARKS.sub(lambda match: match[1] or f"\\u{ord(match[0]):04x}", text)


def with_display_names(data: ReportData, names: Mapping[str, str]) -> ReportData:
    """The data with the displayed names."""
    runs = data.runs
    if any(a != b for a, b in names.items()):
        runs = runs.assign(definition=[_definition(text, names) for text in runs["definition"]])
    verdicts = data.verdicts.assign(backend=_mapped(data.verdicts["backend"], names))
    return replace(data, rows=data.rows.assign(backend=_mapped(data.rows["backend"], names)), runs=runs, verdicts=verdicts)


def _mapped(backends: pd.Series[Any], names: Mapping[str, str]) -> pd.Series[Any]:
    return backends if backends.empty else backends.map(lambda b: names.get(b, b))


def _definition(text: Any, names: Mapping[str, str]) -> str:
    found = parse_object(text)
    if "baseline" in found:
        found["baseline"] = names.get(found["baseline"], found["baseline"])
    return json.dumps(found)
