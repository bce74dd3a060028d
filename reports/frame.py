"""The frames that a report is made from: their columns, their checks, and the run that is reported on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

CELL = (
    "precision", "mode", "input_size", "hidden_size", "num_layers", "bidirectional", "proj_size", "bias", "peephole",
    "lengths", "sequence_length", "batch_size", "weights", "cache", "launch",
)  # fmt: skip
"""The columns that make a cell, in the contract's order."""

_TEXT, _WHOLE, _FLAG, _NUMBER = "string", "Int64", "boolean", "float64"
COLUMNS: Mapping[str, str] = {
    "run_id": _TEXT, "backend": _TEXT, "device": _TEXT, "machine_id": _TEXT, "precision": _TEXT, "mode": _TEXT,
    "input_size": _WHOLE, "hidden_size": _WHOLE, "num_layers": _WHOLE, "bidirectional": _FLAG, "proj_size": _WHOLE,
    "bias": _FLAG, "peephole": _FLAG, "lengths": _TEXT, "sequence_length": _WHOLE, "batch_size": _WHOLE, "weights": _TEXT,
    "cache": _TEXT, "launch": _TEXT, "threads": _WHOLE, "seed": _WHOLE, "status": _TEXT, "reason": _TEXT, "samples": _WHOLE,
    "median_s": _NUMBER, "ci_low_s": _NUMBER, "ci_high_s": _NUMBER, "ratio_to_baseline": _NUMBER, "ratio_ci_low": _NUMBER,
    "ratio_ci_high": _NUMBER, "setup_s": _NUMBER, "transfer_s": _NUMBER, "peak_memory_bytes": _WHOLE,
    "peak_device_memory_bytes": _WHOLE, "flops": _WHOLE, "bytes": _WHOLE, "floor_s": _NUMBER, "max_error": _NUMBER,
    "error_bound_ratio": _NUMBER, "effective_bits": _NUMBER, "started_at": _TEXT,
}  # fmt: skip
"""The contract's columns of a result row, in order, with the pandas dtype they have in a report and its exports."""

SAMPLE_COLUMNS = ("row_id", "block", "position", "calls", "wall_s", "device_s", "used")
RUN_COLUMNS = ("run_id", "machine_id", "fingerprint", "definition", "command", "seed", "started_at", "finished_at", "summary")

PEAK_COLUMNS = ("machine_id", "device", "threads", "kind", "value")
VERDICT_COLUMNS = (
    "machine_id", "backend", "verdict", "checks", "effective_bits", "examples", "seed", "git_commit", "finished_at",
)  # fmt: skip
SCORE_COLUMNS = ("total", "killed", "survivors", "false_alarms", "git_commit", "finished_at")

TIMED_STATUSES = ("PASSED", "UNSTABLE")
"""The only statuses beside which a time stands."""
STATUSES = ("WRONG", "SUSPECT", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "UNSTABLE", "UNSUPPORTED", "UNAVAILABLE", "PASSED")
"""All statuses, the gravest first."""

RATIO_COLUMNS = ("ratio_to_baseline", "ratio_ci_low", "ratio_ci_high")
TIME_COLUMNS = ("median_s", "ci_low_s", "ci_high_s", *RATIO_COLUMNS, "setup_s", "transfer_s")
"""What is measured of a backend's speed: blank in every row whose status is not a timed one."""


class ReportError(ValueError):
    """No report can be made of this; the message is one line that says why and how to mend it."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """What the store hands over.

    rows: one row per cell and backend, `row_id` and the columns of COLUMNS. samples: SAMPLE_COLUMNS, in seconds per call,
    joined to rows by `row_id`; `used` is false for one that does not count in its row's figures. runs: RUN_COLUMNS, one row a
    run; fingerprint, definition and summary are JSON text. command: the words that asked for the report, printed at its foot.
    peaks (PEAK_COLUMNS): the best rates measured, "gemm:<precision>" in operations a second and "copy" in bytes a second.
    verdicts (VERDICT_COLUMNS), mutation_scores (SCORE_COLUMNS): what the property suite said and its own score, in the order
    in which they were added. store: the store's file as a command line would name it.
    """

    rows: pd.DataFrame
    samples: pd.DataFrame
    runs: pd.DataFrame
    command: str
    peaks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(PEAK_COLUMNS)))
    verdicts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(VERDICT_COLUMNS)))
    mutation_scores: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SCORE_COLUMNS)))
    store: str = "lstm-parity.sqlite"


@dataclass(frozen=True, eq=False)
class Run:
    """The run that is reported on.

    rows: the checked rows, in the dtypes of COLUMNS, with three helper columns: row_id, `cell` (number of the row's cell in
    sorted order) and `timed` (a time stands here). samples: of all runs, those that count. started_at, finished_at: UTC text
    or "". fingerprint, definition, summary: parsed, empty where there was nothing to parse. others: how many other runs have
    rows; unused: the ids of newer runs that have none. command: what measured it.
    """

    run_id: str
    command: str
    rows: pd.DataFrame
    samples: pd.DataFrame
    started_at: str
    finished_at: str
    fingerprint: dict[str, Any]
    definition: dict[str, Any]
    summary: dict[str, Any]
    others: int
    unused: tuple[str, ...]


def select_run(data: ReportData) -> Run:
    """The newest run that has rows, checked. Raises ReportError for missing columns, no rows, or rows that contradict."""
    for name, frame, needed in (
        ("rows", data.rows, ("row_id", *COLUMNS)),
        ("samples", data.samples, SAMPLE_COLUMNS),
        ("runs", data.runs, RUN_COLUMNS),
        ("peaks", data.peaks, PEAK_COLUMNS),
        ("verdicts", data.verdicts, VERDICT_COLUMNS),
        ("mutation scores", data.mutation_scores, SCORE_COLUMNS),
    ):
        missing = [c for c in needed if c not in frame.columns]
        if missing:
            raise ReportError(f"the {name} lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    if data.rows.empty:
        raise ReportError("there are no result rows to report on; measure some with: lstm-parity sweep")
    run_id, others, unused = _newest(data.rows, data.runs)
    rows = data.rows[data.rows["run_id"] == run_id]
    about = data.runs[data.runs["run_id"] == run_id]
    info: dict[str, Any] = about.iloc[-1].to_dict() if len(about) else {}
    return Run(
        run_id=str(run_id),
        command=_text(info.get("command")),
        rows=_checked(rows),
        samples=data.samples[data.samples["used"].astype(bool)],
        started_at=_text(info.get("started_at")),
        finished_at=_text(info.get("finished_at")),
        fingerprint=parsed(info.get("fingerprint")),
        definition=parsed(info.get("definition")),
        summary=parsed(info.get("summary")),
        others=others,
        unused=unused,
    )


def varying(rows: pd.DataFrame) -> list[str]:
    """The columns of CELL that hold more than one value."""
    return [c for c in CELL if rows[c].nunique(dropna=False) > 1]


def in_time(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Every run, oldest first: run_id, when, has_rows."""
    from_rows = rows[["run_id", "started_at"]].groupby("run_id", sort=False, as_index=False).min()
    measured = from_rows["run_id"]
    known = runs[["run_id", "started_at"]]
    both = pd.concat([known, from_rows[~measured.isin(known["run_id"])]], ignore_index=True)
    when = pd.to_datetime(both["started_at"], utc=True, format="ISO8601", errors="coerce")
    both = both.assign(when=when.fillna(pd.Timestamp(0, tz="UTC")), has_rows=both["run_id"].isin(measured))
    return both.sort_values("when", kind="stable", ignore_index=True)


def _newest(rows: pd.DataFrame, runs: pd.DataFrame) -> tuple[Any, int, tuple[str, ...]]:
    """The newest run with rows; how many other runs have rows; the ids of newer runs that have none."""
    both = in_time(rows, runs)
    last = both.loc[both["has_rows"]].iloc[-1]
    newer = both.loc[~both["has_rows"] & (both["when"] > last["when"]), "run_id"]
    return last["run_id"], int(both["has_rows"].sum()) - 1, tuple(str(r) for r in newer)


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with row_id and the columns of COLUMNS, in their dtypes."""
    checked = pd.DataFrame({"row_id": rows["row_id"].to_numpy()})
    for name, dtype in COLUMNS.items():
        try:
            values = rows[name].reset_index(drop=True)
            if dtype == _FLAG and values.dtype != bool:
                values = values.map({True: True, False: False})  # 0 and 1, which SQLite knows flags by, equal False and True
            checked[name] = values.astype(dtype)  # type: ignore[call-overload]
        except (TypeError, ValueError) as error:
            raise ReportError(f"column {name} of the rows does not hold {dtype} values: {error}") from None
    return checked


def _checked(rows: pd.DataFrame) -> pd.DataFrame:
    checked = typed(rows)
    unknown = set(checked["status"].dropna()) - set(STATUSES) or ({"no status"} if checked["status"].isna().any() else set())
    if unknown:
        raise ReportError(f"unknown status {sorted(unknown)[0]!r} in the rows; a status is one of {', '.join(STATUSES)}")
    if checked["backend"].isna().any():
        raise ReportError(f"row {checked.loc[checked['backend'].isna(), 'row_id'].iloc[0]} names no backend")
    if checked["row_id"].duplicated().any():
        raise ReportError(f"row_id {checked.loc[checked['row_id'].duplicated(), 'row_id'].iloc[0]} occurs twice in the rows")
    checked["cell"] = checked.groupby(list(CELL), dropna=False, sort=True).ngroup()
    twice = checked.duplicated(["cell", "backend"])
    if twice.any():
        raise ReportError(f"backend {checked.loc[twice, 'backend'].iloc[0]!r} has two rows for one cell of one run")
    timed = checked["status"].isin(TIMED_STATUSES)
    checked.loc[~timed, list(TIME_COLUMNS)] = np.nan
    median = checked["median_s"]
    bad = median.notna() & ~((median > 0) & np.isfinite(median))
    if bad.any():
        raise ReportError(f"row {checked.loc[bad, 'row_id'].iloc[0]} has median_s {median[bad].iloc[0]}, which is no time")
    checked["timed"] = median.notna()
    return checked


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def parsed(text: Any) -> dict[str, Any]:
    """A JSON object; empty where the text is none."""
    try:
        found = json.loads(_text(text) or "{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
