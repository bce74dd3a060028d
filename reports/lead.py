"""The first lines of a report: what ran, where, what could not run and why, and who wins."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .frame import STATUSES, Run, varying
from .words import brief, cells, duration, label, phrase

MOST_KINDS = 8
"""Kinds of failure named in the first lines; all rows are in the table of those that are not PASSED."""

_SHARES = (
    ("in_samples_s", "in samples"),
    ("setup_s", "set-up"),
    ("checks_s", "checks"),
    ("peaks_s", "peaks"),
    ("statistics_s", "statistics"),
    ("store_s", "writing the store"),
    ("waiting_s", "waiting"),
)


def what_ran(run: Run) -> list[str]:
    """The run, its size, what varies and what is the same everywhere."""
    rows = run.rows
    backends = list(dict.fromkeys(rows["backend"]))
    named = ", ".join(backends[:12]) + (f" and {len(backends) - 12} more" if len(backends) > 12 else "")
    differing = varying(rows)
    fixed = [c for c in ("precision", "mode", "hidden_size", "input_size", "sequence_length", "batch_size", "num_layers",
             "bidirectional", "proj_size", "lengths", "cache", "launch", "weights") if c not in differing]  # fmt: skip
    plural = "s" * (len(backends) != 1)
    lines = [
        f"Run {run.run_id}: {len(backends)} backend{plural} ({named}), {cells(rows['cell'].nunique())}, {len(rows):,} rows."
    ]
    if differing:
        lines.append("Varied: " + "; ".join(f"{label(c)} {_values(rows, c)}" for c in differing) + ".")
    same = ", ".join(phrase(c, rows[c].iloc[0]) for c in fixed if not (c == "proj_size" and rows[c].iloc[0] == 0))
    threads = ", ".join(str(n) for n in sorted(rows["threads"].dropna().unique()))
    lines.append(f"The same everywhere: {same}" + (f"; threads {threads}." if threads else "."))
    return lines


def where_and_when(run: Run) -> list[str]:
    """The machine, the time of day, and where the run's seconds went."""
    parts = [f"{key} {brief(run.fingerprint[key])}" for key in ("cpu", "gpu", "cores", "os", "python", "libraries")
             if run.fingerprint.get(key)]  # fmt: skip
    machines = [str(m) for m in run.rows["machine_id"].dropna().unique()]
    lines = [f"Machine {', '.join(machines) or 'unknown'}" + (f": {'; '.join(parts)}." if parts else ".")]
    if run.started_at:
        end = f"finished {run.finished_at}" if run.finished_at else "not finished"
        lines.append(f"Started {run.started_at}, {end}.")
    wall = run.summary.get("wall_s")
    if isinstance(wall, (int, float)) and wall > 0:
        shares = [f"{100 * run.summary[k] / wall:.0f}% {name}" for k, name in _SHARES
                  if isinstance(run.summary.get(k), (int, float))]  # fmt: skip
        lines.append(f"The run took {duration(wall)}" + (f": {', '.join(shares)}." if shares else "."))
    if run.others:
        lines.append(f"{run.others:,} other run{'s' * (run.others > 1)} in the store, not shown here.")
    if run.unused:
        lines.append(f"Newer, but without rows: {', '.join(run.unused)}.")
    return lines


def statuses(rows: pd.DataFrame) -> str:
    """How many rows have each status: "14 PASSED, 2 WRONG"."""
    counts = rows["status"].value_counts()
    order = ["PASSED", *(s for s in STATUSES if s != "PASSED")]
    return ", ".join(f"{counts[s]:,} {s}" for s in order if s in counts.index) + "."


def what_failed(rows: pd.DataFrame) -> list[str]:
    """One line for each backend, status and reason that is not PASSED, the gravest first."""
    failed = rows[rows["status"] != "PASSED"].copy()
    failed["severity"] = failed["status"].map({status: i for i, status in enumerate(STATUSES)})
    failed["reason"] = failed["reason"].fillna("no reason given")
    kinds = failed.groupby(["severity", "backend", "status", "reason"], sort=True).size()
    of = rows["backend"].value_counts()
    named: list[Any] = list(kinds.items())
    lines = []
    for (_, backend, status, reason), count in named[:MOST_KINDS]:
        where = f"all {cells(count)}" if count == of[backend] > 1 else cells(count)
        lines.append(f"{backend}: {status} in {where}: {str(reason).rstrip('.')}.")
    if len(named) > MOST_KINDS:
        lines.append(f"And {len(named) - MOST_KINDS:,} more kinds of failure; see the table of rows that are not PASSED.")
    return lines


def _values(rows: pd.DataFrame, column: str) -> str:
    values = sorted(rows[column].dropna().unique())
    if rows[column].dtype == "boolean":
        return " and ".join(phrase(column, v) for v in values)
    if len(values) <= 6:
        return ", ".join(str(v) for v in values)
    return f"{values[0]} to {values[-1]} ({len(values):,} values)"
