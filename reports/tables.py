"""The tables of a report: frames of formatted text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from lstm_parity.harness.records import STATUSES, TIMED
from lstm_parity.harness.text import MISSING, byte_size, duration, duration_interval, number, percent

from .data import varying_columns
from .fit import GROUP
from .labels import brief, label, phrase, ratio

MAX_ROWS = 500
"""Of a table of the page; results.csv has all rows."""
_ERRORS = ("max error", "error / bound", "effective bits")


@dataclass(frozen=True, eq=False)
class Table:
    """A table of text."""

    title: str
    note: str
    """How to read it."""
    cells: pd.DataFrame
    """Text; the columns are the headings."""
    numeric: frozenset[str] = frozenset()
    """The headings that are aligned right."""


def results_table(rows: pd.DataFrame, baseline: str) -> Table:
    """Every row, cell by cell: what varies, status, time with its interval, speed against the baseline, and errors."""
    differing = varying_columns(rows)
    shown = rows.sort_values(["cell", "median_s", "backend"], kind="stable").head(MAX_ROWS)
    timed = shown["status"].isin(TIMED)
    text = _cell_columns(shown, differing)
    text.insert(0, "backend", shown["backend"].astype(str))
    text["status"] = shown["status"].astype(str)
    text["time per call"] = [
        MISSING if not ok else duration(s) + (" (unstable)" if status == "UNSTABLE" else "")
        for s, status, ok in zip(shown["median_s"], shown["status"], timed, strict=True)
    ]
    text["95% interval"] = [
        duration_interval(low, high) if ok else MISSING
        for low, high, ok in zip(shown["ci_low_s"], shown["ci_high_s"], timed, strict=True)
    ]
    text[f"speed against {baseline}"] = [
        MISSING if not ok else "baseline" if b == baseline else ratio(r, low, high, baseline)
        for ok, b, r, low, high in zip(
            timed, shown["backend"], shown["ratio_to_baseline"], shown["ratio_ci_low"], shown["ratio_ci_high"], strict=True
        )
    ]
    text["samples"] = [MISSING if pd.isna(n) else f"{n:,}" for n in shown["samples"]]
    text["set-up"] = [duration(s) if ok else MISSING for s, ok in zip(shown["setup_s"], timed, strict=True)]
    text["transfer"] = [duration(s) if ok else MISSING for s, ok in zip(shown["transfer_s"], timed, strict=True)]
    text["floor"] = [duration(s) for s in shown["floor_s"]]
    text["floor reached"] = [
        percent(s) if ok else MISSING for s, ok in zip(shown["floor_s"] / shown["median_s"], timed, strict=True)
    ]
    text["peak memory"] = [byte_size(b) for b in shown["peak_memory_bytes"]]
    text["max error"] = [number(v) for v in shown["max_error"]]
    text["error / bound"] = [number(v) for v in shown["error_bound_ratio"]]
    text["effective bits"] = [MISSING if pd.isna(v) else f"{v:.1f}" for v in shown["effective_bits"]]
    for column in ("samples", "set-up", "transfer", "floor", "floor reached", "peak memory", *_ERRORS):
        if (text[column] == MISSING).all():
            del text[column]
    numeric = (
        frozenset(text.columns) - {"backend", "status", f"speed against {baseline}"} - {label(c) for c in _text_columns(rows)}
    )
    return Table("All results", _cut(len(rows), "rows"), text, numeric)


def problems_table(rows: pd.DataFrame) -> Table:
    """Every row that is not PASSED, the most severe first, with its reason."""
    failed = rows[rows["status"] != "PASSED"]
    severity = failed["status"].map({status: i for i, status in enumerate(STATUSES)})
    shown = failed.assign(severity=severity).sort_values(["severity", "backend", "cell"], kind="stable").head(MAX_ROWS)
    text = pd.DataFrame({"status": shown["status"].astype(str), "backend": shown["backend"].astype(str)})
    text = text.join(_cell_columns(shown, varying_columns(rows)))
    text["reason"] = reasons(shown)
    numeric = frozenset(text.columns) - {"status", "backend", "reason"} - {label(c) for c in _text_columns(rows)}
    return Table("Rows that are not PASSED", _cut(len(failed), "such rows"), text, numeric)


def reasons(rows: pd.DataFrame) -> pd.Series[Any]:
    """The reason of each row's status."""
    said = rows["reason"].fillna("").astype(str)
    return said.where(said.str.strip() != "", "no reason given")


def fits_table(lines: pd.DataFrame) -> Table:
    """The lines of `fit.fit_lines`: fixed cost, cost per step, and whether the line fits."""
    shown = lines.head(MAX_ROWS)
    text = pd.DataFrame({"backend": shown["backend"].astype(str)})
    differing = [c for c in GROUP[1:] if lines[c].nunique(dropna=False) > 1]
    text = text.join(_cell_columns(shown, differing))
    text["fixed cost a"] = [duration(s) for s in shown["fixed_s"]]
    text["a, 95% interval"] = [
        duration_interval(low, high) for low, high in zip(shown["fixed_low_s"], shown["fixed_high_s"], strict=True)
    ]
    text["cost per step b"] = [duration(s) for s in shown["step_s"]]
    text["b, 95% interval"] = [
        duration_interval(low, high) for low, high in zip(shown["step_low_s"], shown["step_high_s"], strict=True)
    ]
    text["T"] = [
        f"{a:,} to {b:,}, {n} sizes" for a, b, n in zip(shown["shortest"], shown["longest"], shown["points"], strict=True)
    ]
    text["does the line fit?"] = [
        f"{'yes' if fits else 'no'}: off by at most {100 * off:.2g}%"
        for off, fits in zip(shown["residual"], shown["fits"], strict=True)
    ]
    note = (
        "time = a + b T, by weighted least squares over the medians (weights 1 / time²); Student's 95% intervals from the "
        "scatter of the medians about the line. A line that is off by more than 10% somewhere does not fit, and its "
        f"numbers mean nothing. {_cut(len(lines), 'lines', '')}"
    )
    numeric = frozenset(text.columns) - {"backend", "does the line fit?"} - {label(c) for c in _text_columns(lines)}
    return Table("Fixed cost and cost per step", note.strip(), text, numeric)


def machine_table(machine_id: str, fingerprint: dict[str, Any]) -> Table:
    """The machine's fingerprint, a line for each key, also of nested objects."""
    lines = [("machine", machine_id)]
    for key, value in fingerprint.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        lines += [(f"{key} {name}".strip(), brief(v)) for name, v in inner if v is not None]
    return Table("Machine", "", pd.DataFrame(lines, columns=["property", "value"]))


def _cell_columns(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The coordinates under their labels, formatted."""
    text = pd.DataFrame(index=rows.index)
    for column in columns:
        whole = rows[column].dtype == "Int64"
        text[label(column)] = [
            MISSING if pd.isna(v) else f"{v:,}" if whole else phrase(column, v) if rows[column].dtype == "boolean" else str(v)
            for v in rows[column]
        ]
    return text


def _text_columns(rows: pd.DataFrame) -> list[str]:
    return [c for c in GROUP[1:] if rows[c].dtype != "Int64"]


def _cut(total: int, what: str, where: str = "; all are in results.csv") -> str:
    return f"The first {MAX_ROWS:,} of {total:,} {what}{where}." if total > MAX_ROWS else ""
