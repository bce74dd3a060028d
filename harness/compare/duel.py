"""Measures two backends, or two revisions of one, interleaved in one run of several rounds.

What a process is given when it starts (physical pages, a core, the state of its heap) makes the same code a few per cent faster
or slower than in the next process, however many samples are taken. So a duel starts new processes in each of ROUNDS rounds, and
its result is about the code and not about one process.
"""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..machine.host import cpu_count
from ..problems.call_inputs import secret_seed
from ..records import TIMED, Cell, RawSample, Row
from ..statistics import block_ratios
from ..sweep.grid import Definition
from ..sweep.measure import CellContext, drawn_weights, measure_cell
from ..sweep.peaks import Peaks, keep_best, measure_peaks
from ..sweep.phase_timer import PhaseTimer
from ..sweep.row_status import BackendState, clocks_differ, deferred_work
from ..sweep.sampling import Participant, too_few_free_cores
from ..sweep.workers import Workers, WorkerSpec
from ..text import Progress
from ..worker.server import LAYOUTS
from .decide import Pair, Side, change_of_rounds

ROUNDS = 20
"""Measured on two cores of a shared machine: with 10, 93 to 97% of slowdowns of 5% are found, with 14 and more, over 99%."""
STRIDE = 77
"""Layouts from one round to the next: one more than a multiple of four, and coprime to LAYOUTS."""
DUEL_BUDGET_S = 2.0
"""Default sampling time of a cell over all rounds, in seconds."""


def duel_threads() -> int:
    """Default number of threads of a side: one core is left to the rest of the machine.

    If a library's threads fill all cores, any other process that runs for a moment preempts one of them, and the others wait
    for it during a whole time slice: on two cores, calls of 1 to 5 ms under two threads of OpenBLAS took 4 to 12 ms more in up
    to half of the samples of an idle machine.
    """
    return max(1, cpu_count() - 1)


@dataclass
class _CellRounds:
    """What the rounds measured of one cell; a side is 0, the old one, or 1."""

    ratios: list[float] = field(default_factory=list)
    """The median ratio of each round, new over old."""
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    """The median time of each round, by side."""
    failed: dict[int, Row] = field(default_factory=dict)
    """The first row without a time, by side."""
    disturbed: int = 0
    """Rounds that do not count, because a time was SUSPECT while other processes kept the machine busy."""
    participants: dict[int, Participant] = field(default_factory=dict)
    """The samples of all rounds with their clocks, by side."""

    def pool(self, which: int, participant: Participant) -> None:
        """Add a round's samples of a side to those of the rounds before."""
        if which not in self.participants:
            self.participants[which] = participant
            return
        all_rounds = self.participants[which]
        all_rounds.samples += participant.samples
        all_rounds.clock_gaps += participant.clock_gaps
        all_rounds.handovers += participant.handovers


def run_duel(
    definition: Definition, sides: Mapping[str, WorkerSpec], progress: Progress, peaks: Peaks | None = None
) -> list[Pair]:
    """Measure every cell of the definition in ROUNDS rounds. sides: the two sides by label, the old one first.

    The definition's budget is the sampling time of a cell over all rounds. A cell in which a side has no time is not measured
    again. peaks: the known peaks of the machine, which are measured if there are none. Raises CallError for a side that cannot
    run here at all.
    """
    seed = secrets.randbelow(2**31)
    first_layout = {label: secrets.randbelow(LAYOUTS) for label in sides}
    timer, old_new = PhaseTimer(), tuple(sides)
    records = [_CellRounds() for _ in definition.cells]
    peaks = {} if peaks is None else peaks
    progress.started(ROUNDS, 0)
    for number in range(ROUNDS):
        order = old_new if number % 2 else tuple(reversed(old_new))
        specs = {label: replace(sides[label], layout=layout_of(first_layout[label], number)) for label in order}
        workers = Workers(specs, definition.threads, timer)
        try:
            progress.doing(f"round {number + 1}: starting backends")
            workers.start(all_needed=True)
            cuda = any(p.device == "cuda" for p in workers.promises.values())
            if number == 0 and not peaks:
                peaks.update(measure_peaks(definition.threads, cuda=cuda))
            context = CellContext(
                run_id="duel",
                machine_id="",
                threads=definition.threads,
                budget_s=definition.budget_s / ROUNDS,
                baseline=old_new[0],
                weights_file=definition.weights_file,
                load_weights=drawn_weights,
                peaks=peaks,
                measure_peaks=partial(_improve, peaks, definition.threads, cuda),
                timer=timer,
            )
            for index in _cell_order(len(records), seed + number):
                cell, record = definition.cells[index], records[index]
                if not record.failed:
                    progress.doing(f"round {number + 1}: {cell}")
                    _one_round(cell, record, seed + index * ROUNDS + number, workers, context, old_new)
        finally:
            workers.close()
        progress.finished(f"round {number + 1} of {ROUNDS}")
        if all(record.failed for record in records):
            break
    return [_pair(cell, record, old_new[1]) for cell, record in zip(definition.cells, records, strict=True)]


def layout_of(first: int, number: int) -> int:
    """The layout of a side's arrays in a round: four rounds use each of the four offsets of 16 bytes within a cache line once.

    The offset makes identical code up to 4% slower, so each side gets each of them equally often.
    """
    return (first + STRIDE * number) % LAYOUTS


def _cell_order(count: int, seed: int) -> list[int]:
    """A random order of the cells: no cell is measured first, in processes that have just started, in all rounds."""
    return random.Random(seed).sample(range(count), count)


def _improve(peaks: Peaks, threads: int, cuda: bool) -> Peaks:
    keep_best(peaks, measure_peaks(threads, cuda=cuda))
    return peaks


def _one_round(
    cell: Cell, record: _CellRounds, seed: int, workers: Workers, context: CellContext, old_new: tuple[str, ...]
) -> None:
    found = measure_cell(cell, secret_seed(), seed, workers.ready(), workers.promises, context)
    by_label: dict[str, tuple[Row, list[RawSample]]] = {row.backend: (row, samples) for row, samples in found.results}
    sides = [by_label[label] for label in old_new]
    for which, (row, samples) in enumerate(sides):
        if row.status == "SUSPECT" and any(too_few_free_cores(s.foreign_load or 0.0, context.threads) for s in samples):
            record.disturbed += 1  # the answers of an honest backend come late then, too
            return
        if row.status not in TIMED:
            record.failed[which] = row
    if record.failed:
        return
    ratios = block_ratios(sides[1][1], sides[0][1])
    if len(ratios):
        record.ratios.append(math.exp(float(np.median(np.log(ratios)))))
        for which, (row, _) in enumerate(sides):
            assert row.median_s is not None
            record.seconds[which].append(row.median_s)
            record.pool(which, found.participants[row.backend])


def _pair(cell: Cell, record: _CellRounds, backend: str) -> Pair:
    """The pair of a cell. The clocks are judged over all rounds: the few samples of one round may all be late by chance."""
    sides = []
    for which in (0, 1):
        row, seconds = record.failed.get(which), record.seconds[which]
        state = BackendState(participant=record.participants.get(which))
        why = None if state.participant is None else clocks_differ(state) or deferred_work(cell, state)
        if row is not None:
            sides.append(Side(row.status, row.reason, None))
        elif why is not None:
            sides.append(Side("SUSPECT", why, None))
        else:
            sides.append(Side("PASSED", None, float(np.median(seconds)) if seconds else None))
    timed = all(side.status in TIMED for side in sides)
    change = change_of_rounds(record.ratios) if len(record.ratios) >= 2 and timed else None
    why = None
    if record.disturbed >= ROUNDS // 2:
        why = f"other processes kept the machine busy in {record.disturbed} of {ROUNDS} rounds"
    return Pair(cell, backend, sides[0], sides[1], change, why, rounds=tuple(record.ratios))
