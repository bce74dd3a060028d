"""The report's sentences: what ran, where, what failed and why, how close to the floor, and how certain."""

from __future__ import annotations

import pandas as pd

from lstm_parity.harness.records import STATUSES
from lstm_parity.harness.text import describe_commit, describe_machine, duration, percent, significant

from ..data import SelectedRun, row_of_max, varying_columns
from ..history import MAX_RUNS, History
from ..labels import brief, cells, label, phrase
from ..tables import reasons

MAX_KINDS = 8
"""Kinds of failure that are named; the table of rows that are not PASSED has all."""

MAX_PLACES = 6
"""Up to so many cells of a failure are named."""

UNTRUSTED = ("WRONG", "SUSPECT")
UNABLE = ("CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "UNSUPPORTED", "UNAVAILABLE")

_PLAIN = {"proj_size": 0, "bias": True, "peephole": False}
"""Not mentioned where it is the same in all cells."""

_MACHINE = ("cpu", "cores", "gpu", "gpu_driver", "cuda", "cudnn", "os", "python", "libraries")

_SHARES = (
    ("in_samples_s", "in samples"),
    ("setup_s", "set-up"),
    ("checks_s", "checks"),
    ("peaks_s", "peaks"),
    ("statistics_s", "statistics"),
    ("store_s", "writing the store"),
    ("waiting_s", "waiting"),
)


def what_ran(run: SelectedRun) -> list[str]:
    """The run, its size, what varies and what is the same in all cells."""
    rows = run.rows
    backends = list(rows["backend"].unique())
    named = ", ".join(backends[:12]) + (f" and {len(backends) - 12} more" if len(backends) > 12 else "")
    differing = varying_columns(rows)
    fixed = [c for c in ("precision", "mode", "hidden_size", "input_size", "sequence_length", "batch_size", "num_layers",
             "bidirectional", "proj_size", "bias", "peephole", "lengths", "cache", "launch", "weights")
             if c not in differing and not (c in _PLAIN and rows[c].eq(_PLAIN[c]).fillna(False).all())]  # fmt: skip
    plural = "s" * (len(backends) != 1)
    lines = [
        f"Run {run.run_id}: {len(backends)} backend{plural} ({named}), {cells(rows['cell'].nunique())}, "
        f"{len(rows):,} row{'s' * (len(rows) != 1)}."
    ]
    if differing:
        lines.append("Varied: " + "; ".join(f"{label(c)} {_values(rows, c)}" for c in differing) + ".")
    same = ", ".join(phrase(c, rows[c].iloc[0]) for c in fixed)
    threads = ", ".join(str(n) for n in sorted(rows["threads"].dropna().unique()))
    lines.append(f"The same in all cells: {same}" + (f"; threads {threads}." if threads else "."))
    return lines


def where_and_when(run: SelectedRun) -> list[str]:
    """The machine, the time of day, and where the run's seconds went."""
    parts = [f"{label(key)} {brief(run.fingerprint[key])}" for key in _MACHINE if run.fingerprint.get(key)]
    machines = [str(m) for m in run.rows["machine_id"].dropna().unique()]
    lines = [f"Machine {', '.join(machines) or 'unknown'}" + (f": {'; '.join(parts)}." if parts else ".")]
    lines += [f"Code: {said}."] if (said := describe_commit(run.fingerprint)) else []
    lines.append(f"Measured by: {run.command or 'unknown'}")
    if run.started_at:
        wanted, here = len(run.definition.get("cells", ())), run.rows["cell"].nunique()
        so_far = f": {here:,} of {cells(wanted)} are done" if wanted else ""
        end = f"finished {run.finished_at}" if run.finished_at else f"not finished{so_far}"
        lines.append(f"Started {run.started_at}, {end}.")
    wall = run.summary.get("wall_s")
    if isinstance(wall, (int, float)) and wall > 0:
        shares = [f"{100 * run.summary[k] / wall:.0f}% {name}" for k, name in _SHARES
                  if isinstance(run.summary.get(k), (int, float))]  # fmt: skip
        lines.append(
            f"The run took {duration(wall)}{'' if run.finished_at else ' so far'}"
            + (f": {', '.join(shares)}." if shares else ".")
        )
    if run.others:
        lines.append(f"{run.others:,} other run{'s' * (run.others > 1)} in the store.")
    if run.unused:
        lines.append(f"Newer runs without rows: {', '.join(run.unused)}.")
    return lines


def stamp(run: SelectedRun) -> str:
    """The run and its machine in a line, for a picture outside its page."""
    return ", ".join(filter(None, [f"run {run.run_id}", describe_machine(run.fingerprint)]))


def all_timed(rows: pd.DataFrame) -> list[str]:
    """That every row has a time, where that is so."""
    if not rows["timed"].all():
        return []
    each = f"each of the {len(rows):,} rows" if len(rows) > 1 else "the only row"
    return [f"Everything ran: {each} has a time."]


def status_counts(rows: pd.DataFrame) -> str:
    """How many rows have each status: "14 PASSED, 2 WRONG"."""
    counts = rows["status"].value_counts()
    order = ["PASSED", *(s for s in STATUSES if s != "PASSED")]
    return ", ".join(f"{counts[s]:,} {s}" for s in order if s in counts.index) + "."


def failed_rows(rows: pd.DataFrame, statuses: tuple[str, ...]) -> list[str]:
    """One line for each backend, status of these, and reason, the most severe first; where there are few, at which sizes."""
    failed = rows[rows["status"].isin(statuses)].copy()
    failed["severity"] = failed["status"].map({status: i for i, status in enumerate(STATUSES)})
    failed["reason"] = reasons(failed)
    failed["kind"] = failed["reason"].str.replace(
        r"\d+(\.\d+)?(e[-+]?\d+)?", "0", regex=True
    )  # reasons that differ in numbers alone
    failed["kind"] = failed.groupby(["severity", "backend", "kind"], sort=True).ngroup()
    of = rows["backend"].value_counts()
    differing = varying_columns(rows)
    lines = []
    for _, part in failed[failed["kind"] < MAX_KINDS].groupby("kind"):
        count, first = len(part), part.iloc[0]
        where = f"all {cells(count)}" if count == of[first["backend"]] > 1 else cells(count)
        if count <= MAX_PLACES and count < of[first["backend"]]:
            places = part[differing].to_dict("records")
            where += " (" + "; ".join(", ".join(phrase(str(c), v) for c, v in place.items()) for place in places) + ")"
        like = ", for example" if part["reason"].nunique() > 1 else ""
        lines.append(f"{first['backend']}: {first['status']} in {where}{like}: {str(first['reason']).rstrip('.')}.")
    rest = failed[failed["kind"] >= MAX_KINDS]
    if len(rest):
        counts = rest["status"].value_counts()
        said = ", ".join(f"{status} in {count:,} row{'s' * (count != 1)}" for status, count in counts.items())
        lines.append(
            f"And {rest['kind'].nunique():,} more kinds of failure: {said}; see the table of rows that are not PASSED."
        )
    return lines


def floor_sentence(rows: pd.DataFrame) -> list[str]:
    """Which backend comes closest to the floor, and where."""
    timed = rows[rows["timed"] & rows["floor_s"].notna()]
    if timed.empty:
        return []
    reached = timed["floor_s"] / timed["median_s"]
    best = row_of_max(timed, reached)
    where = ", ".join(phrase(str(c), best[c]) for c in varying_columns(rows) or ("sequence_length", "batch_size"))
    return [
        f"Closest to the floor, the least time that this machine's best measured rates allow: {best['backend']} reaches "
        f"{percent(reached.max())} of it at {where}."
    ]


def certainty(rows: pd.DataFrame) -> list[str]:
    """Whether the timed results were right, in one sentence."""
    timed = rows[rows["timed"]]
    worst = timed["error_bound_ratio"].max()
    if timed.empty or pd.isna(worst):
        return []
    wrong = int((rows["status"] == "WRONG").sum())
    said = f"All {len(timed):,} timed results agree" if len(timed) > 1 else "The only timed result agrees"
    if wrong:
        has = "result is WRONG and has" if wrong == 1 else "results are WRONG and have"
        said = f"{wrong:,} {has} no time; {said[0].lower()}{said[1:]}"
    said += " with the float64 reference"
    return [f"{said}: the largest error is {significant(float(worst), 2)} of what rounding allows (1 is the limit)."]


def past(found: History, moved: str | None) -> list[str]:
    """What the history is about. moved: see `move_sentence`."""
    if moved is not None:
        return [moved]
    looked = f"None of the newest {MAX_RUNS - 1} earlier runs" if len(found.runs) > MAX_RUNS else "No earlier run"
    return [f"{looked} of this machine shares a cell with this one, so nothing is compared."] if found.several else []


def _values(rows: pd.DataFrame, column: str) -> str:
    values = sorted(rows[column].dropna().unique())
    if rows[column].dtype == "boolean":
        return " and ".join(phrase(column, v) for v in values)
    if len(values) <= 6:
        return ", ".join(str(v) for v in values)
    return f"{values[0]} to {values[-1]} ({len(values):,} values)"
