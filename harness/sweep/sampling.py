"""Timed samples of all backends of a cell, in randomised blocks, until every median is known or the budget is spent.

In a block each backend has one sample, in random order (A B C, C A B, ...), so that drift, throttling and a noisy neighbour
affect all of them, and the ratio within a block is free of it. While one backend is timed, the processes of the others are
stopped: a library's threads spin for milliseconds after a call.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..machine.gpu import gpu_state, why_disturbed
from ..machine.host import busy_seconds, cpu_count
from ..oracle.results import Results
from ..problems.call_inputs import call_key, fresh_row
from ..records import Cell, RawSample
from ..statistics import median_interval
from ..worker.client import WorkerClient, WorkerError
from .messages import Fetch, Go, Prepare, Sample
from .phase_timer import PhaseTimer

ENOUGH = 0.02
"""Half-width of the median's 95% interval, relative to the median, at which sampling may stop."""
MIN_BLOCKS = 10
SAMPLES_TO_OVERHEAD = 1.7
"""Within the budget, sampling continues until it has taken this many times as long as the rest of the cell: measuring for
longer costs less than preparing again."""
TIMER_RESOLUTION_S = {"cpu": 1e-7, "cuda": 5e-7}
CALLS_PER_RESOLUTION = 50
"""A sample takes at least this many times the timer's resolution; shorter calls are timed several at a time."""
WINDOW_S = 0.25
"""The system counts CPU time in steps of 10 ms, so background load is read over windows of at least this length."""
MIN_FOREIGN_CORES = 0.3
"""A background load below this many cores does not disturb."""
MIN_CHECKED_ROWS = 4
CONTROL_SHARE = 0.1
"""The share of the wall time that the control's samples may take, beyond those that an interval needs."""


@dataclass(eq=False)
class Participant:
    """One backend, or the control, while one cell is measured."""

    backend: str
    client: WorkerClient
    device_kind: str
    """What it computes on: "cpu" or "cuda"."""
    limit_s: float
    """How long an answer may take."""
    seed: int
    """What the inputs are drawn from; the worker is not told it."""
    ring_size: int
    """How many sets of inputs the worker holds."""
    drawn: int = 1
    """For how many calls the worker has been told to draw inputs."""
    samples: list[RawSample] = field(default_factory=list)
    clock_gaps: list[float] = field(default_factory=list)
    """Of each sample: how much longer the parent waited than the worker says that it worked, seconds."""
    handovers: list[float] = field(default_factory=list)
    """Of each sample: `Sample.handover_s`."""
    calls_made: int = 1
    """The first call is the untimed check."""
    calls_per_sample: int = 1
    runnable_s: float = 0.0
    """Time it was runnable (not stopped) while samples were taken."""
    cpu_s: float = 0.0
    """CPU time that its processes used meanwhile."""
    failure: WorkerError | None = None

    def next_keys(self) -> tuple[int, ...]:
        """Keys of the inputs to draw before the next sample: those of that sample, and new ones in the sets of the last."""
        end = self.calls_made + max(self.ring_size, self.calls_per_sample)
        keys = tuple(call_key(self.seed, call) for call in range(self.drawn, end))
        self.drawn = end
        return keys


@dataclass(frozen=True, eq=False)
class OutputCheck:
    """What participants returned from one timed call, to be judged after sampling."""

    call: int
    rows: Any
    """The batch rows that were fetched, int64."""
    projection_seed: int
    results: dict[str, Results]


class _Window(NamedTuple):
    """The counters at the beginning of a window in which background load is measured."""

    began: float
    busy: float | None
    own: float
    samples: dict[str, int]


def too_few_free_cores(foreign: float, threads: int) -> bool:
    """Whether background load, in cores, leaves fewer free cores than a backend has threads."""
    return foreign > MIN_FOREIGN_CORES and foreign + threads > cpu_count()


class Sampler:
    """Samples the participants of one cell."""

    def __init__(
        self,
        cell: Cell,
        participants: list[Participant],
        threads: int,
        rng: np.random.Generator,
        timer: PhaseTimer,
        controls: Sequence[Participant] = (),
    ) -> None:
        self._cell, self._participants = cell, participants
        self._rng, self._timer, self._controls = rng, timer, controls
        self._everyone = (*participants, *controls)
        # a GPU backend needs one core to launch from, whatever threads the others were given
        self._cores = threads if any(p.device_kind == "cpu" for p in participants) else 1
        self.output_checks: list[OutputCheck] = []
        self.disturbed_s = 0.0
        self._disturbed = False
        self._max_mhz: float | None = None

    def run(self, budget_s: float, checks: int, overhead_s: float, ring_size: int) -> None:
        """Sample until every interval is narrow enough and the cell's overhead is repaid, or the budget is spent.

        checks: how many blocks are checked, at least 2: the last one, and others drawn from all of them with equal
        probability. overhead_s: what the cell cost before sampling, and will cost after it.
        """
        for participant in self._everyone:
            participant.client.pause()
        self._warm_up()
        for participant in self._everyone:
            participant.runnable_s, participant.cpu_s = 0.0, -participant.client.cpu_seconds
        controls_before = self._timer.seconds("control")
        start = perf_counter()
        in_samples, block = 0.0, 0
        kept: list[list[OutputCheck]] = []
        window = self._open_window()
        while True:
            active = [p for p in self._participants if p.failure is None]
            if not active:
                break
            elapsed = perf_counter() - start
            out_of_time = elapsed - min(self.disturbed_s, budget_s) >= budget_s and block >= 2
            repaid = in_samples >= SAMPLES_TO_OVERHEAD * (overhead_s + elapsed - in_samples)
            last = out_of_time or (block >= MIN_BLOCKS and repaid and self._narrow(active, block))
            # Reservoir sampling: each block is kept with equal probability, however many follow. The last one always is.
            checked = last or self._rng.random() < (checks - 1) / (block + 1)
            due = self._due_controls(self._timer.seconds("control") - controls_before, elapsed)
            seconds, fetched = self._block(active, due, block, checked, ring_size)
            in_samples += seconds
            if last or (checked and len(kept) < checks - 1):
                kept.append(fetched)
            elif checked:
                kept[int(self._rng.integers(checks - 1))] = fetched
            self._read_gpu_state(block)
            block += 1
            if perf_counter() - window.began >= WINDOW_S:
                self._close_window(window)
                window = self._open_window()
            if last:
                break
        self._close_window(window)
        self.output_checks = [check for of_block in kept for check in of_block]
        for participant in self._everyone:
            participant.cpu_s += participant.client.cpu_seconds
        self._timer.add("samples", in_samples)

    def _due_controls(self, spent: float, elapsed: float) -> list[Participant]:
        """The controls that take part in the next block: until they have MIN_BLOCKS samples, then within CONTROL_SHARE."""
        cheap = spent <= CONTROL_SHARE * elapsed * len(self._controls)
        return [c for c in self._controls if c.failure is None and (cheap or len(c.samples) < MIN_BLOCKS)]

    def _warm_up(self) -> None:
        """Two samples that do not count; the second decides how many calls a sample needs."""
        for participant in self._everyone:
            self._sample(participant)
            sample = None if participant.failure else self._sample(participant)
            if sample is None:
                continue
            seconds = sample.wall_s if sample.device_s is None else sample.device_s
            needed = CALLS_PER_RESOLUTION * TIMER_RESOLUTION_S[participant.device_kind]
            if (self._cell.launch == "call" or participant in self._controls) and seconds < needed:
                participant.calls_per_sample = ceil(needed / max(seconds, needed / 1000))
            participant.clock_gaps.clear()
            participant.handovers.clear()

    def _block(
        self, active: list[Participant], controls: list[Participant], block: int, checked: bool, ring_size: int
    ) -> tuple[float, list[OutputCheck]]:
        """One sample of each, in random order; returns the seconds inside the backends' samples, and what is to be judged."""
        inside = 0.0
        # The same call is checked on the same inputs for all, so that what is expected is computed once.
        seed = int(self._rng.integers(2**31))
        checks: dict[int, OutputCheck] = {}
        members = [*active, *controls]
        for position, index in enumerate(self._rng.permutation(len(members))):
            participant = members[index]
            first, calls = participant.calls_made, participant.calls_per_sample
            with self._timer.measure("control") if participant in controls else nullcontext():
                sample = self._sample(participant)
            if sample is None:
                continue
            participant.samples.append(RawSample(block, position, calls, sample.wall_s, sample.device_s, None, True))
            if participant in controls:
                continue
            inside += sample.wall_s * calls
            if checked:
                chosen = int(self._rng.integers(calls))
                call = first + chosen
                if call not in checks:
                    checks[call] = OutputCheck(call, self._draw_rows(call, ring_size), seed, {})
                with self._timer.measure("checks"):
                    results = self._ask(participant, Fetch(chosen, checks[call].rows, seed))
                if results is not None:
                    checks[call].results[participant.backend] = results
        return inside, list(checks.values())

    def _draw_rows(self, call: int, ring_size: int) -> Any:
        """Batch rows to check of a call, drawn after it: at least four, among them one whose numbers were drawn for it."""
        batch = self._cell.batch_size
        rows = set(self._rng.permutation(batch)[:MIN_CHECKED_ROWS].tolist())
        if call >= ring_size:
            rows.add(fresh_row(self._cell, call // ring_size))
        return np.array(sorted(rows))

    def _sample(self, participant: Participant) -> Sample | None:
        """One timed sample; None where the worker failed. Afterwards its processes are stopped."""
        client, resumed = participant.client, perf_counter()
        client.resume()
        prepare = Prepare(participant.calls_made, participant.calls_per_sample, participant.next_keys())
        if self._ask(participant, prepare) is None:
            return None
        start = perf_counter()
        sample: Sample | None = self._ask(participant, Go())
        seconds = perf_counter() - start
        if sample is None:
            return None
        client.pause()
        participant.runnable_s += perf_counter() - resumed
        participant.calls_made += participant.calls_per_sample
        participant.clock_gaps.append(seconds - (sample.wall_s + sample.handover_s) * participant.calls_per_sample)
        participant.handovers.append(sample.handover_s)
        return sample

    def _ask(self, participant: Participant, message: Any) -> Any:
        resumed = perf_counter()
        participant.client.resume()
        try:
            return participant.client.ask(message, participant.limit_s)
        except WorkerError as error:
            participant.failure = error
            return None
        finally:
            if isinstance(message, Fetch):
                participant.client.pause()
                participant.runnable_s += perf_counter() - resumed

    def _narrow(self, active: list[Participant], block: int) -> bool:
        """Whether every median is known well enough; computed less often the more blocks there are."""
        if block % max(1, block // 10):
            return False
        with self._timer.measure("statistics"):
            used = [[s.seconds for s in p.samples if s.used] for p in active]
            return all(seconds and median_interval(seconds).half_width <= ENOUGH for seconds in used)

    def _read_gpu_state(self, block: int) -> None:
        """Write the GPU's clock into the samples of a block; those taken at a reduced clock do not count."""
        if all(p.device_kind == "cpu" for p in self._participants) or (state := gpu_state()) is None:
            return
        disturbed = why_disturbed(state, self._max_mhz) is not None
        self._max_mhz = max(self._max_mhz or 0.0, state.clock_mhz or 0.0) or None
        for participant in self._everyone:
            if participant.device_kind != "cpu" and participant.samples and participant.samples[-1].block == block:
                participant.samples[-1] = participant.samples[-1].with_gpu_state(
                    state.clock_mhz, state.throttle_bits, used=not disturbed
                )

    def _own_seconds(self) -> float:
        return time.process_time() + sum(p.client.cpu_seconds for p in self._everyone)

    def _open_window(self) -> _Window:
        counts = {p.backend: len(p.samples) for p in self._everyone}
        return _Window(perf_counter(), busy_seconds(), self._own_seconds(), counts)

    def _close_window(self, window: _Window) -> None:
        """Write the background load of the window into its samples; those of a disturbed window do not count."""
        seconds, busy = perf_counter() - window.began, busy_seconds()
        if window.busy is None or busy is None or seconds <= 0:
            return
        foreign = max(0.0, (busy - window.busy - (self._own_seconds() - window.own)) / seconds)
        if seconds >= WINDOW_S:  # a shorter one is judged as the one before: the counter's steps are too coarse
            self._disturbed = too_few_free_cores(foreign, self._cores)
        self.disturbed_s += seconds * self._disturbed
        for participant in self._everyone:
            for k in range(window.samples[participant.backend], len(participant.samples)):
                sample = participant.samples[k]
                participant.samples[k] = sample.with_background_load(foreign, used=not self._disturbed and sample.used)
