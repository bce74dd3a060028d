"""Two backends, or two revisions of one, interleaved in one run: in rounds, each with processes of its own.

What a process is given, pages, a core to start on, the state of its heap, stays with it and makes the same code a few per cent
faster or slower than in the next process, however many samples are taken. So a duel starts its processes anew ROUNDS times,
and what it says is about the code and not about one process.
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
from ..records import TIMED, Cell, RawSample, Row
from ..statistics import block_ratios
from ..sweep.grid import Definition
from ..sweep.inputs import secret_seed
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
"""Of layouts, from one round to the next: one more than a multiple of four, and without a common divisor with LAYOUTS."""
DUEL_BUDGET_S = 2.0
"""Seconds of sampling a cell, over all rounds, where nothing else is said."""


def duel_threads() -> int:
    """Threads of a side where nothing else is said: one core is left to the rest of the machine.

    Where a library's threads fill all cores, whatever else runs for a moment takes one of them away, and the others wait for it
    a whole turn of the scheduler: on two cores, calls of 1 to 5 ms under two threads of OpenBLAS took 4 to 12 ms more in up to
    half of the samples of an idle machine.
    """
    return max(1, cpu_count() - 1)


@dataclass
class _Record:
    """What the rounds gave for one cell. lost: the first row of a side that has no time; crowded: rounds that do not count,
    because a time was not to be believed while others kept the machine busy; sampled: how the samples of all rounds were taken.
    """

    ratios: list[float] = field(default_factory=list)
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    lost: dict[int, Row] = field(default_factory=dict)
    crowded: int = 0
    sampled: dict[int, Participant] = field(default_factory=dict)

    def pool(self, which: int, participant: Participant) -> None:
        """Add a round's samples of a side to those of the rounds before."""
        if which not in self.sampled:
            self.sampled[which] = participant
            return
        all_rounds = self.sampled[which]
        all_rounds.samples += participant.samples
        all_rounds.clock_gaps += participant.clock_gaps
        all_rounds.handovers += participant.handovers


def run_duel(
    definition: Definition, launches: Mapping[str, WorkerSpec], progress: Progress, peaks: Peaks | None = None
) -> list[Pair]:
    """Measure every cell of the definition in ROUNDS rounds. launches: the two sides by label, the old one first.

    The definition's budget is the sampling time of a cell over all rounds. A cell in which a side has no time is not measured
    again. peaks: what is known of the machine; measured where nothing is. Raises CallError where a side cannot run here at all.
    """
    seed = secrets.randbelow(2**31)
    first_layout = {label: secrets.randbelow(LAYOUTS) for label in launches}
    timer, old_new = PhaseTimer(), tuple(launches)
    records = [_Record() for _ in definition.cells]
    peaks = {} if peaks is None else peaks
    progress.started(ROUNDS, 0)
    for number in range(ROUNDS):
        order = old_new if number % 2 else tuple(reversed(old_new))
        shuffled = {label: replace(launches[label], layout=layout_of(first_layout[label], number)) for label in order}
        workers = Workers(shuffled, definition.threads, timer)
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
                measure_peaks=partial(_better, peaks, definition.threads, cuda),
                timer=timer,
            )
            for index in _shuffled(len(records), seed + number):
                cell, record = definition.cells[index], records[index]
                if not record.lost:
                    progress.doing(f"round {number + 1}: {cell}")
                    _one_round(cell, record, seed + index * ROUNDS + number, workers, context, old_new)
        finally:
            workers.close()
        progress.finished(f"round {number + 1} of {ROUNDS}")
        if all(record.lost for record in records):
            break
    return [_pair(cell, record, old_new[1]) for cell, record in zip(definition.cells, records, strict=True)]


def layout_of(first: int, number: int) -> int:
    """The layout of a side in a round: of four rounds one at each of the four places that 16 bytes have in a cache line.

    Which of them its arrays have makes identical code up to 4% slower; so each side has each of them equally often.
    """
    return (first + STRIDE * number) % LAYOUTS


def _shuffled(count: int, seed: int) -> list[int]:
    """Every cell once, in an order of the round's own: a process that has just started is no cell's handicap in all rounds."""
    return random.Random(seed).sample(range(count), count)


def _better(peaks: Peaks, threads: int, cuda: bool) -> Peaks:
    keep_best(peaks, measure_peaks(threads, cuda=cuda))
    return peaks


def _one_round(
    cell: Cell, record: _Record, seed: int, workers: Workers, context: CellContext, old_new: tuple[str, ...]
) -> None:
    found = measure_cell(cell, secret_seed(), seed, workers.ready(), workers.promises, context)
    by_label: dict[str, tuple[Row, list[RawSample]]] = {row.backend: (row, samples) for row, samples in found.results}
    sides = [by_label[label] for label in old_new]
    for which, (row, samples) in enumerate(sides):
        if row.status == "SUSPECT" and any(too_few_free_cores(s.foreign_load or 0.0, context.threads) for s in samples):
            record.crowded += 1  # answers come late then, whoever works
            return
        if row.status not in TIMED:
            record.lost[which] = row
    if record.lost:
        return
    ratios = block_ratios(sides[1][1], sides[0][1])
    if len(ratios):
        record.ratios.append(math.exp(float(np.median(np.log(ratios)))))
        for which, (row, _) in enumerate(sides):
            assert row.median_s is not None
            record.seconds[which].append(row.median_s)
            record.pool(which, found.participants[row.backend])


def _pair(cell: Cell, record: _Record, backend: str) -> Pair:
    """The verdict's numbers. A round has few samples, of which all may be late; of those of all rounds some are not."""
    sides = []
    for which in (0, 1):
        row, seconds = record.lost.get(which), record.seconds[which]
        state = BackendState(participant=record.sampled.get(which))
        why = None if state.participant is None else clocks_differ(state) or deferred_work(cell, state)
        if row is not None:
            sides.append(Side(row.status, row.reason, None))
        elif why is not None:
            sides.append(Side("SUSPECT", why, None))
        else:
            sides.append(Side("PASSED", None, float(np.median(seconds)) if seconds else None))
    believed = all(side.status in TIMED for side in sides)
    change = change_of_rounds(record.ratios) if len(record.ratios) >= 2 and believed else None
    why = f"others kept the machine busy in {record.crowded} of {ROUNDS} rounds" if record.crowded >= ROUNDS // 2 else None
    return Pair(cell, backend, sides[0], sides[1], change, why, rounds=tuple(record.ratios))
