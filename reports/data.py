"""What the store hands over, its checks, the run that is reported on, and the columns derived from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from lstm_parity.harness.records import (
    CELL_COLUMNS,
    MEDIAN_COLUMNS,
    STATUSES,
    TIMED,
    Frames,
    MutationScore,
    Peak,
    RawSample,
    Row,
    SuiteVerdict,
    columns_of,
)
from lstm_parity.harness.records import Run as StoredRun

DTYPES: Mapping[str, str] = {name: replace(column, optional=True).dtype for name, column in columns_of(Row).items()}
"""Column of a result row -> the pandas dtype that it has in a report and its exports, where any value may be missing."""
TIME_COLUMNS = (*MEDIAN_COLUMNS, "setup_s", "transfer_s")
"""The measured times of a backend: empty in every row whose status is not in TIMED."""


class ReportError(ValueError):
    """No report can be made; the message is one line that says why and how to fix it."""


@dataclass(frozen=True, eq=False)
class ReportData(Frames):
    """The tables of a store, and how the report was asked for."""

    command: str
    """The command line, printed at the foot of the report."""
    store: str = "lstm-parity.sqlite"
    """The store's file, as a command line would name it."""


@dataclass(frozen=True, eq=False)
class SelectedRun:
    """The run that is reported on."""

    run_id: str
    command: str
    """What measured it."""
    rows: pd.DataFrame
    """The checked rows, in DTYPES, with `row_id`, `cell` (number of the row's cell in sorted order) and `timed`."""
    samples: pd.DataFrame
    """Of all runs, those that are used."""
    started_at: str
    """UTC, or ""."""
    finished_at: str
    """UTC, or ""."""
    fingerprint: dict[str, Any]
    definition: dict[str, Any]
    summary: dict[str, Any]
    others: int
    """How many other runs have rows."""
    unused: tuple[str, ...]
    """The ids of newer runs without rows."""


def select_run(data: ReportData) -> SelectedRun:
    """The newest run with rows, checked. Raises ReportError for missing columns, no rows, or contradicting rows."""
    for name, frame, needed in (
        ("rows", data.rows, ("row_id", *DTYPES)),
        ("samples", data.samples, ("row_id", *columns_of(RawSample))),
        ("runs", data.runs, columns_of(StoredRun)),
        ("peaks", data.peaks, columns_of(Peak)),
        ("verdicts", data.verdicts, columns_of(SuiteVerdict)),
        ("mutation scores", data.mutation_scores, columns_of(MutationScore)),
    ):
        missing = [c for c in needed if c not in frame.columns]
        if missing:
            raise ReportError(f"the {name} lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    if data.rows.empty:
        raise ReportError("there are no result rows to report on; measure some with: lstm-parity sweep")
    run_id, others, unused = _newest(data.rows, data.runs)
    about = data.runs[data.runs["run_id"] == run_id]
    info: dict[str, Any] = about.iloc[-1].to_dict() if len(about) else {}
    return SelectedRun(
        run_id=str(run_id),
        command=_text(info.get("command")),
        rows=_checked(data.rows[data.rows["run_id"] == run_id]),
        samples=data.samples[data.samples["used"].astype(bool)],
        started_at=_text(info.get("started_at")),
        finished_at=_text(info.get("finished_at")),
        fingerprint=parse_object(info.get("fingerprint")),
        definition=parse_object(info.get("definition")),
        summary=parse_object(info.get("summary")),
        others=others,
        unused=unused,
    )


def varying_columns(rows: pd.DataFrame) -> list[str]:
    """The columns of a cell that have more than one value."""
    return [c for c in CELL_COLUMNS if rows[c].nunique(dropna=False) > 1]


def runs_in_time(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
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
    both = runs_in_time(rows, runs)
    last = both.loc[both["has_rows"]].iloc[-1]
    newer = both.loc[~both["has_rows"] & (both["when"] > last["when"]), "run_id"]
    return last["run_id"], int(both["has_rows"].sum()) - 1, tuple(str(r) for r in newer)


def with_dtypes(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `row_id` and the columns of DTYPES. Raises ReportError for a value of another type."""
    rows = rows[["row_id", *DTYPES]].reset_index(drop=True)
    for name, dtype in DTYPES.items():
        try:
            rows[name] = rows[name].astype(dtype)  # type: ignore[call-overload]
        except (TypeError, ValueError) as error:
            raise ReportError(f"column {name} of the rows does not have {dtype} values: {error}") from None
    return rows


def _checked(rows: pd.DataFrame) -> pd.DataFrame:
    checked = with_dtypes(rows)
    unknown = set(checked["status"].dropna()) - set(STATUSES) or ({"no status"} if checked["status"].isna().any() else set())
    if unknown:
        raise ReportError(f"unknown status {sorted(unknown)[0]!r} in the rows; a status is one of {', '.join(STATUSES)}")
    if checked["backend"].isna().any():
        raise ReportError(f"row {checked.loc[checked['backend'].isna(), 'row_id'].iloc[0]} names no backend")
    if checked["row_id"].duplicated().any():
        raise ReportError(f"row_id {checked.loc[checked['row_id'].duplicated(), 'row_id'].iloc[0]} occurs twice in the rows")
    checked["cell"] = checked.groupby(list(CELL_COLUMNS), dropna=False, sort=True).ngroup()
    twice = checked.duplicated(["cell", "backend"])
    if twice.any():
        raise ReportError(f"backend {checked.loc[twice, 'backend'].iloc[0]!r} has two rows for one cell of one run")
    timed = checked["status"].isin(TIMED)
    checked.loc[~timed, list(TIME_COLUMNS)] = np.nan
    median = checked["median_s"]
    bad = median.notna() & ~((median > 0) & np.isfinite(median))
    if bad.any():
        raise ReportError(f"row {checked.loc[bad, 'row_id'].iloc[0]} has median_s {median[bad].iloc[0]}, which is no time")
    checked["timed"] = median.notna()
    return checked


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def parse_object(text: Any) -> dict[str, Any]:
    """A JSON object; empty where the text is none."""
    try:
        found = json.loads(_text(text) or "{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def row_of_max(table: pd.DataFrame, values: pd.Series[Any]) -> Any:
    """The row of the table at which the values are largest."""
    return table.iloc[int(values.to_numpy(dtype="float64", na_value=-np.inf).argmax())]


def parts_by(table: pd.DataFrame, *by: str) -> list[tuple[tuple[Any, ...], Any]]:
    """The parts of a table with equal values of the columns `by`, each with these values."""
    parts = cast("Any", table.groupby(list(by)))
    return [(tuple(int(v) if isinstance(v, np.integer) else v for v in key), part) for key, part in parts]
