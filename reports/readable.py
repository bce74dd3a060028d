"""What a store holds, as text that every page, picture and file can hold: signs that none shows are spelled out.

Control signs, line separators, surrogates without their other half and what Unicode calls no character end the process that
draws a picture, or cannot be written as UTF-8.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from .frame import ReportData

_UNSEEN = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane + last) for plane in range(0x10000, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_JSON = frozenset({"fingerprint", "definition", "summary", "checks", "effective_bits", "survivors", "false_alarms"})


def readable(data: ReportData) -> ReportData:
    """The data with all text so; in JSON the strings."""
    changed: dict[str, Any] = {}
    for field in fields(data):
        held = getattr(data, field.name)
        changed[field.name] = _frame(held) if isinstance(held, pd.DataFrame) else spelled(held)
    return replace(data, **changed)


def spelled(value: Any) -> Any:
    """Text with what is never shown as `\\u001b`, also within lists and objects; anything else as it is."""
    if isinstance(value, str):
        return _UNSEEN.sub(lambda sign: f"\\u{ord(sign[0]):04x}", value)
    if isinstance(value, list):
        return [spelled(v) for v in value]
    if isinstance(value, dict):
        return {spelled(k): spelled(v) for k, v in value.items()}
    return value


def _frame(frame: pd.DataFrame) -> pd.DataFrame:
    changed = {}
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            new = {v: _json(v) if name in _JSON else spelled(v) for v in frame[name].unique() if isinstance(v, str)}
            if any(a != b for a, b in new.items()):
                changed[name] = frame[name].map(lambda v, new=new: new.get(v, v) if isinstance(v, str) else v)
    return frame.assign(**changed)


def _json(text: str) -> str:
    try:
        return json.dumps(spelled(json.loads(text, strict=False)))
    except json.JSONDecodeError:
        return str(spelled(text))
