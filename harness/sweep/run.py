"""A whole sweep: starts the workers, measures the cells one after the other, and stores each when it is finished."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_parity.backends import Capabilities, LSTMWeights

from ..errors import CallError
from ..machine.host import fingerprint, machine_id, memory_bytes
from ..problems.call_inputs import secret_seed
from ..records import BAD, Cell, Row, Run, now
from ..store import Store
from ..text import Progress, describe_commit, duration
from . import cost
from .control import CONTROLS
from .grid import Definition
from .measure import CellContext, drawn_weights, measure_cell
from .peaks import Peaks, measure_peaks
from .phase_timer import PhaseTimer
from .row_status import UNSTABLE, floor
from .workers import Workers, WorkerSpec

if TYPE_CHECKING:
    import pandas as pd

MAX_REASON = 160
"""Characters of a reason that a line shows; the store and the report have all of it."""


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended."""

    run_id: str
    store: Path
    statuses: Mapping[str, int]
    """How many rows have each status."""
    summary: Mapping[str, float]
    """Seconds by phase, see PhaseTimer.summary."""
    interrupted: bool = False
    nothing_to_do: bool = False
    """Whether the run was finished before."""

    @property
    def ok(self) -> bool:
        """Whether no row is bad."""
        return not any(self.statuses.get(status) for status in BAD)

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of the run, as `Store.rows` has them."""
        with Store(self.store) as store:
            return store.rows_of(self.run_id)

    def __str__(self) -> str:
        """Counts of statuses, the run, the share of the time inside samples, and what the rest was spent on."""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items())) or "no rows"
        if self.nothing_to_do:
            return f"nothing left to measure: run {self.run_id} is finished ({counts})"
        wall = max(self.summary["wall_s"], 1e-9)
        rest = ", ".join(
            f"{name.removesuffix('_s')} {seconds / wall:.0%}"
            for name, seconds in self.summary.items()
            if name not in ("wall_s", "in_samples_s")
        )
        lines = [
            f"{counts}; run {self.run_id} in {self.store}",
            f"{wall:.1f} s, {self.summary['in_samples_s'] / wall:.0%} of it inside samples; the rest: {rest}",
        ]
        if self.interrupted:
            lines.append("interrupted: every finished cell is stored; the same command with --resume continues")
        return "\n".join(lines)


def refuse_too_large(cells: tuple[Cell, ...]) -> None:
    """Raise CallError for a cell that cannot fit into this machine's memory, with the bytes it needs."""
    available = memory_bytes()
    if available is None:
        return
    for cell in cells:
        needed = cost.memory_bytes(cell)
        if needed > available:
            raise CallError(
                f"{cell} needs at least {needed:,} bytes of memory, this machine has {available:,}; choose smaller sizes"
            )


def run_sweep(
    definition: Definition,
    store: Store,
    command: str,
    progress: Progress,
    *,
    resume: bool = False,
    weights: LSTMWeights | None = None,
) -> SweepResult:
    """Measure every cell of the definition that its run does not have yet.

    resume: continue the newest run of the same definition and the same code, if there is one. weights: those
    of the weights file, in the file's dtype. Raises CallError for a backend named on the command line that cannot run here.
    The caller refuses cells that are too large before it makes a store, see `refuse_too_large`.
    """
    timer = PhaseTimer()
    machine = fingerprint()
    run = _run_to_resume(definition, store, machine, progress) if resume else None
    done = store.finished_cells(run.run_id) if run is not None else set()
    if run is not None and len(done) == len(definition.cells):
        if run.finished_at is None:  # it was killed after its last cell
            store.finish_run(run.run_id, now(), json.loads(run.summary or "{}"))
        return SweepResult(run.run_id, store.path, store.statuses(run.run_id), {}, nothing_to_do=True)
    earlier = json.loads(run.summary) if run is not None and run.summary else {}

    with ExitStack() as stack:
        workers = Workers({backend: WorkerSpec(backend) for backend in definition.backends}, definition.threads, timer)
        stack.callback(workers.close)
        progress.doing("starting backends")
        workers.start(all_needed=definition.named)
        devices = {p.device for p in workers.promises.values()}
        # the control is the same in every run, so its arrays get the same layout, too: its time then varies less between runs
        specs: dict[str, WorkerSpec] = {device: WorkerSpec(CONTROLS[device], layout=0) for device in sorted(devices)}
        controls = Workers(specs, definition.threads, timer)
        stack.callback(controls.close)
        controls.start(all_needed=False)
        if run is None:
            run = _new_run(definition, machine, command)
            store.add_run(run)
        peaks = store.peaks(run.machine_id, definition.threads)
        cuda = "cuda" in devices
        measure_again = partial(_measure_peaks, store, run.machine_id, definition.threads, cuda)
        if not peaks or (cuda and not any(device in machine["gpu"] for device, _ in peaks)):
            progress.doing("measuring the peaks of this machine")
            with timer.measure("peaks"):
                measure_again(peaks)
        context = CellContext(
            run_id=run.run_id,
            machine_id=run.machine_id,
            threads=definition.threads,
            budget_s=definition.budget_s,
            baseline=definition.baseline,
            weights_file=definition.weights_file,
            load_weights=_weights_loader(weights),
            peaks=peaks,
            measure_peaks=partial(measure_again, peaks),
            timer=timer,
        )
        progress.started(len(definition.cells), len(done))
        interrupted = False
        try:
            for index, cell in enumerate(definition.cells):
                if index not in done:
                    progress.doing(str(cell))
                    found = measure_cell(
                        cell, secret_seed(), run.seed + index, workers.ready(), workers.promises, context, controls.running()
                    )
                    with timer.measure("store"):
                        store.add_cell(index, found.results, found.controls)
                    progress.finished(cell_line(cell, [row for row, _ in found.results]))
        except KeyboardInterrupt:
            interrupted = True
        store.set_floors(run.run_id, partial(_floor, definition, workers.promises, peaks))
        summary = {name: value + earlier.get(name, 0.0) for name, value in timer.summary().items()}
        store.finish_run(run.run_id, None if interrupted else now(), summary)
    return SweepResult(run.run_id, store.path, store.statuses(run.run_id), summary, interrupted)


def _run_to_resume(definition: Definition, store: Store, machine: dict[str, Any], progress: Progress) -> Run | None:
    """The newest run of the definition on this machine, if it is of the present code; else None, with a message."""
    run = store.newest_run(definition.hash(), machine_id(machine))
    if run is None:
        progress.note(f"nothing to resume: {store.path} has no run of this sweep on this machine, so a new one begins")
        return None
    then = json.loads(run.fingerprint)
    if any(then.get(name) != machine[name] for name in ("git_commit", "git_changes")):
        was = describe_commit(then) or "code in no commit"
        progress.note(f"run {run.run_id} is of {was}, not of the present code: a new one begins")
        return None
    return run


def _floor(
    definition: Definition, promises: Mapping[str, Capabilities], peaks: Peaks, cell: int, backend: str, device: str
) -> float | None:
    """The floor of a row by the best peaks, which may have been measured after the row."""
    kind = promises[backend].device if backend in promises else "cpu"
    return floor(definition.cells[cell], device, kind, peaks)


def _measure_peaks(store: Store, machine: str, threads: int, cuda: bool, peaks: Peaks) -> Peaks:
    """Measure the peaks, keep the better ones in the store and in `peaks`, and return the best."""
    store.add_peaks(machine, threads, measure_peaks(threads, cuda=cuda))
    peaks.update(store.peaks(machine, threads))
    return peaks


def _new_run(definition: Definition, machine: dict[str, Any], command: str) -> Run:
    started_at = now()
    return Run(
        run_id=f"{started_at[:19].replace(':', '').replace('-', '')}-{secrets.token_hex(3)}",
        definition=definition.to_json(),
        definition_hash=definition.hash(),
        machine_id=machine_id(machine),
        fingerprint=json.dumps(machine, sort_keys=True),
        command=command,
        seed=secrets.randbelow(2**31),
        started_at=started_at,
    )


def _weights_loader(weights: LSTMWeights | None) -> Callable[[Cell, int], LSTMWeights]:
    """The weights that results are checked against: drawn ones, or the file's in the cell's precision."""
    if weights is None:
        return drawn_weights
    return lambda cell, _: weights.astype(cell.spec.dtype)


def cell_line(cell: Cell, rows: Sequence[Row]) -> str:
    """A finished cell: each backend's time, or why it has none."""
    return f"{cell}: {', '.join(map(_row_text, rows))}"


def _row_text(row: Row) -> str:
    parts, reason = [row.backend], row.reason
    if row.median_s is not None:
        parts.append(duration(row.median_s))
        if row.status == "UNSTABLE" and row.ci_low_s is not None and row.ci_high_s is not None:
            half_width = (row.ci_high_s - row.ci_low_s) / 2 / row.median_s
            if half_width > UNSTABLE:
                parts.append(f"±{half_width:.0%}")
                reason = None
    if row.status != "PASSED":
        parts.append(row.status)
    if reason and row.status not in ("PASSED", "UNAVAILABLE", "UNSUPPORTED"):
        parts.append(f"({reason[:MAX_REASON]})")
    return " ".join(parts)
