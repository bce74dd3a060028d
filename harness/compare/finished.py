"""Compares two finished runs through what each of them interleaved with its cells: the control and the baseline.

Conditions differ between two runs (temperature, physical pages, other users), so times of different runs are never compared.
Each row's time is divided by the control's, block by block within its run, and the two ratios are compared. If the control
itself, or the baseline's ratio to the control, moved by more than the threshold, something else than the backend has changed,
and the verdict is UNCLEAR. The same holds for the baseline if the other backends of its cell moved too.

Each run has one process per backend, and the same code differs from process to process by an amount that no number of samples
within a run shows. The standard error includes it as measured, RUN_TO_RUN or ALONE, or as the scatter of the baseline's ratios
to the control if that is larger. So `compare` finds large changes only; `duel`, which starts new processes in each round, finds
small ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..records import CELL_COLUMNS, TIMED, Cell, Frames, RawSample, Run
from ..statistics import block_ratios, median_interval, normal_quantile
from ..text import relative_change
from .decide import Pair, Side, change_with_error

RUN_TO_RUN = 0.022
"""Standard deviation, between runs of the same code, of the logarithm of a row's ratio to the control: measured over 648 pairs
of rows on two cores with two threads, from the median absolute deviation. The tails are heavier than a normal distribution's;
most outliers affect all backends of a cell and make each of them UNCLEAR."""
ALONE = 0.06
"""The same for the only backend of a cell, where no other backend shows such outliers: these pairs moved by up to 24%."""
HARDWARE = ("cpu", "cores", "memory_bytes", "gpu", "gpu_driver")


@dataclass(frozen=True)
class _Estimate:
    """A median on the logarithmic scale, and its standard error."""

    log: float
    error: float


@dataclass(frozen=True)
class _Measured:
    """One row of a run, with the control of its cell. Estimates are None with too few samples."""

    side: Side
    threads: int
    over_control: _Estimate | None
    """The ratio of the row's time to the control's."""
    control: _Estimate | None
    """The control's time."""
    control_samples: Sequence[RawSample] = ()


Rows = dict[tuple[Cell, str], _Measured]


def compare_runs(old: tuple[Run, Frames], new: tuple[Run, Frames], threshold: float) -> list[Pair]:
    """A pair for each cell and backend that both runs have, in the new run's order. threshold: as decide.decide takes it."""
    other_machine = _other_machine(old[0], new[0])
    before, after = _measured(*old), _measured(*new)
    baseline = json.loads(new[0].definition)["baseline"]
    moves: dict[Cell, dict[str, _Estimate]] = {}
    for (cell, backend), b in after.items():
        if move := _moved(before, b, cell, backend):
            moves.setdefault(cell, {})[backend] = move
    scatter = _spread([found[baseline].log for found in moves.values() if baseline in found])
    pairs = []
    for (cell, backend), b in after.items():
        a = before.get((cell, backend))
        if a is None:
            continue
        of_cell, change = moves.get(cell, {}), None
        others = {name: move.log for name, move in of_cell.items() if name != backend}
        if (found := of_cell.get(backend)) is not None:
            run_to_run = max(RUN_TO_RUN if others else ALONE, scatter)
            change = change_with_error(found.log, math.hypot(found.error, math.sqrt(2) * run_to_run))
        why = other_machine or _why_unclear(a, b, others, baseline, threshold)
        pairs.append(Pair(cell, backend, a.side, b.side, change, why))
    return pairs


def _measured(run: Run, frames: Frames) -> Rows:
    rows = frames.rows[frames.rows["run_id"] == run.run_id]
    samples = dict(list(frames.samples[frames.samples["row_id"].isin(rows["row_id"])].groupby("row_id")))
    controls = dict(list(frames.controls[frames.controls["run_id"] == run.run_id].groupby(["cell", "device"])))
    found: Rows = {}
    for row in _plain(rows, list(rows.columns)):
        side = Side(row["status"], row["reason"], row["median_s"])
        cell = Cell.of(**{name: row[name] for name in CELL_COLUMNS})
        over_control, control, of_control = None, None, list[RawSample]()
        if side.status in TIMED:
            mine = _raw(samples.get(row["row_id"]))
            device = "cuda" if any(s.device_s is not None for s in mine) else "cpu"
            of_control = _raw(controls.get((row["cell"], device)))
            over_control = _estimate(block_ratios(mine, of_control))
            control = _estimate([s.seconds for s in of_control if s.used])
        found[cell, row["backend"]] = _Measured(side, row["threads"], over_control, control, of_control)
    return found


def _few(samples: Sequence[RawSample]) -> str:
    """How many of the control's samples count, and the background load that disturbed the others."""
    loads = [s.foreign_load for s in samples if s.foreign_load is not None]
    load = f", other processes used up to {max(loads):.1f} cores" if loads else ""
    return f"{sum(s.used for s in samples)} undisturbed samples of {len(samples)}{load}"


def _raw(frame: pd.DataFrame | None) -> list[RawSample]:
    return [] if frame is None else [RawSample(**v) for v in _plain(frame, [f.name for f in fields(RawSample)])]


def _plain(frame: pd.DataFrame, columns: list[str]) -> list[dict[str, Any]]:
    """The rows as Python values, with None for missing ones."""
    return frame[columns].astype(object).where(frame[columns].notna(), None).to_dict("records")  # type: ignore[return-value]


def _estimate(values: ArrayLike) -> _Estimate | None:
    """The median of positive values; None where there are too few for an interval."""
    times = np.asarray(values, np.float64)
    if not times.size:
        return None
    interval = median_interval(times)
    if not 0 < interval.low < interval.high < math.inf:
        return None
    return _Estimate(math.log(interval.median), math.log(interval.high / interval.low) / 2 / normal_quantile())


def _moved(before: Rows, b: _Measured, cell: Cell, backend: str) -> _Estimate | None:
    """The change of a row's ratio to the control from the old run to the new one."""
    a = before.get((cell, backend))
    if a is None or a.over_control is None or b.over_control is None:
        return None
    return _Estimate(b.over_control.log - a.over_control.log, math.hypot(a.over_control.error, b.over_control.error))


def _spread(moves: Sequence[float]) -> float:
    """Standard deviation between runs, estimated from the changes of ratios between two runs; 0 for fewer than four changes.

    From the median absolute deviation (times 1.4826 for a normal distribution), which a change of the baseline in some cells
    does not make large.
    """
    if len(moves) < 4:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.array(moves) - np.median(moves))) / math.sqrt(2))


def _other_machine(old: Run, new: Run) -> str | None:
    a, b = json.loads(old.fingerprint), json.loads(new.fingerprint)
    different = [f"{key} {a.get(key)} and {b.get(key)}" for key in HARDWARE if a.get(key) != b.get(key)]
    return f"measured on different machines: {', '.join(different)}" if different else None


def _why_unclear(a: _Measured, b: _Measured, others: Mapping[str, float], baseline: str, threshold: float) -> str | None:
    """Why two rows that have a time must not get a verdict; None if they may.

    others: changes of the logarithm of the ratio to the control, by backend, of the other backends of the cell. If the baseline
    is among them, its change decides, else their median.
    """
    if a.side.status not in TIMED or b.side.status not in TIMED:
        return None
    if a.threads != b.threads:
        return f"measured with {a.threads} threads and with {b.threads}"
    for which, run in (("old", a), ("new", b)):
        if run.control is None or run.over_control is None:
            few = _few(run.control_samples)
            return f"the control of the {which} run has too few samples: {few}; measure again, or use `lstm-parity duel`"
    assert a.control is not None
    assert b.control is not None
    limit = math.log1p(threshold)
    if abs(move := b.control.log - a.control.log) > limit:
        return f"the machine changed: the control's own time moved by {relative_change(math.exp(move))}"
    if baseline in others and abs(move := others[baseline]) > limit:
        return f"the baseline's ratio to the control moved by {relative_change(math.exp(move))}"
    if others and baseline not in others and abs(move := float(np.median(list(others.values())))) > limit:
        return f"the other backends' ratios to the control moved, too, by {relative_change(math.exp(move))}"
    return None
