"""The tables of a report: frames of finished text, one column a heading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from .fit import GROUP
from .frame import STATUSES, TIMED_STATUSES, varying
from .words import NOTHING, brief, duration, duration_interval, label, number, percent, phrase, ratio, size

MOST_ROWS = 500
"""A table of a page shows no more rows than this; the rest is in results.csv."""


@dataclass(frozen=True, eq=False)
class Table:
    """title; note: what to know when reading it; cells: text under its headings; numeric: the headings set flush right."""

    title: str
    note: str
    cells: pd.DataFrame
    numeric: frozenset[str] = frozenset()


def results_table(rows: pd.DataFrame, baseline: str) -> Table:
    """Every row, cell by cell: what varies, status, time with its interval, ratio in words, and the certificate's numbers."""
    differing = varying(rows)
    shown = rows.sort_values(["cell", "median_s", "backend"], kind="stable").head(MOST_ROWS)
    # a time stands only beside these statuses, whatever the frame holds
    timed = shown["status"].isin(TIMED_STATUSES)
    text = _cell_columns(shown, differing)
    text.insert(0, "backend", shown["backend"].astype(str))
    text["status"] = shown["status"].astype(str)
    text["time per call"] = [
        NOTHING if not ok else duration(s) + (" (unstable)" if status == "UNSTABLE" else "")
        for s, status, ok in zip(shown["median_s"], shown["status"], timed, strict=True)
    ]
    text["95% interval"] = [
        duration_interval(low, high) if ok else NOTHING
        for low, high, ok in zip(shown["ci_low_s"], shown["ci_high_s"], timed, strict=True)
    ]
    text[f"speed against {baseline}"] = [
        NOTHING if not ok else "baseline" if b == baseline else ratio(r, low, high, baseline)
        for ok, b, r, low, high in zip(
            timed, shown["backend"], shown["ratio_to_baseline"], shown["ratio_ci_low"], shown["ratio_ci_high"], strict=True
        )
    ]
    text["samples"] = [NOTHING if pd.isna(n) else f"{n:,}" for n in shown["samples"]]
    text["set-up"] = [duration(s) if ok else NOTHING for s, ok in zip(shown["setup_s"], timed, strict=True)]
    text["transfer"] = [duration(s) if ok else NOTHING for s, ok in zip(shown["transfer_s"], timed, strict=True)]
    text["floor"] = [duration(s) for s in shown["floor_s"]]
    text["floor reached"] = [
        percent(s) if ok else NOTHING for s, ok in zip(shown["floor_s"] / shown["median_s"], timed, strict=True)
    ]
    text["peak memory"] = [size(b) for b in shown["peak_memory_bytes"]]
    text["max error"] = [number(v) for v in shown["max_error"]]
    text["error / bound"] = [number(v) for v in shown["error_bound_ratio"]]
    text["effective bits"] = [NOTHING if pd.isna(v) else f"{v:.1f}" for v in shown["effective_bits"]]
    for column in (
        "samples",
        "set-up",
        "transfer",
        "floor",
        "floor reached",
        "peak memory",
        "max error",
        "error / bound",
        "effective bits",
    ):
        if (text[column] == NOTHING).all():
            del text[column]
    numeric = frozenset(text.columns) - {"backend", "status", f"speed against {baseline}"} - {label(c) for c in _worded(rows)}
    return Table("All results", _cut(len(rows), "rows"), text, numeric)


def problems_table(rows: pd.DataFrame) -> Table:
    """Every row that is not PASSED, the gravest first, with the reason that stands in it."""
    failed = rows[rows["status"] != "PASSED"]
    severity = failed["status"].map({status: i for i, status in enumerate(STATUSES)})
    shown = failed.assign(severity=severity).sort_values(["severity", "backend", "cell"], kind="stable").head(MOST_ROWS)
    text = pd.DataFrame({"status": shown["status"].astype(str), "backend": shown["backend"].astype(str)})
    text = text.join(_cell_columns(shown, varying(rows)))
    text["reason"] = reasons(shown)
    numeric = frozenset(text.columns) - {"status", "backend", "reason"} - {label(c) for c in _worded(rows)}
    return Table("Rows that are not PASSED", _cut(len(failed), "such rows"), text, numeric)


def reasons(rows: pd.DataFrame) -> pd.Series[Any]:
    """Why each row is what it is, or that it does not say."""
    said = rows["reason"].fillna("").astype(str)
    return said.where(said.str.strip() != "", "no reason given")


def fits_table(lines: pd.DataFrame) -> Table:
    """The fitted lines of `fit.fit_lines`: fixed cost, cost per step, and whether the line is one."""
    shown = lines.head(MOST_ROWS)
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
        f"numbers describe nothing. {_cut(len(lines), 'lines', '')}"
    )
    numeric = frozenset(text.columns) - {"backend", "does the line fit?"} - {label(c) for c in _worded(lines)}
    return Table("Fixed cost and cost per step", note.strip(), text, numeric)


def machine_table(machine_id: str, fingerprint: dict[str, Any]) -> Table:
    """The machine's fingerprint, one line a key; the objects in it one line for each of their keys."""
    lines = [("machine", machine_id)]
    for key, value in fingerprint.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        lines += [(f"{key} {name}".strip(), brief(v)) for name, v in inner if v is not None]
    return Table("Machine", "", pd.DataFrame(lines, columns=["what", "value"]))


def _cell_columns(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The coordinates under their labels: numbers as digits, everything else in words."""
    text = pd.DataFrame(index=rows.index)
    for column in columns:
        whole = rows[column].dtype == "Int64"
        text[label(column)] = [
            NOTHING if pd.isna(v) else f"{v:,}" if whole else phrase(column, v) if rows[column].dtype == "boolean" else str(v)
            for v in rows[column]
        ]
    return text


def _worded(rows: pd.DataFrame) -> list[str]:
    return [c for c in GROUP[1:] if rows[c].dtype != "Int64"]


def _cut(total: int, what: str, where: str = "; all are in results.csv") -> str:
    return f"The first {MOST_ROWS:,} of {total:,} {what}{where}." if total > MOST_ROWS else ""
