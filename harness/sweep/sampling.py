"""Samples of all backends of a cell, in turns: A B C, C A B, ... until they are enough or the budget is spent.

Turns in randomised blocks let drift, throttling and a noisy neighbour hit all backends alike, so that the ratio within a block
is free of them. While one backend is timed all others are held still: libraries' threads spin for milliseconds after a call.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np

from ..machine.gpu import gpu_state, why_disturbed
from ..machine.host import busy_seconds, cpu_count
from ..oracle.agreement import Results
from ..records import Cell, RawSample
from ..statistics import median_interval
from ..worker.client import WorkerClient, WorkerError
from .inputs import call_key, fresh_row
from .messages import Fetch, Go, Prepare, Sample
from .phase_timer import PhaseTimer

ENOUGH = 0.02
"""Half-width of the median's 95% interval, relative to the median, at which sampling may stop."""
MIN_BLOCKS = 10
SHARE = 1.7
"""Sampling goes on, within the budget, until it has taken this many times what the cell cost otherwise: measuring for longer is
cheaper than getting ready again."""
TIMER_RESOLUTION_S = {"cpu": 1e-7, "cuda": 5e-7}
CALLS_PER_RESOLUTION = 50
"""A sample lasts at least this many times the timer's resolution; shorter calls are timed several at a time."""
WINDOW_S = 0.25
"""The system counts CPU time in steps of 10 ms, so foreign load is read over windows of at least this length."""
FOREIGN_CORES = 0.3
"""Cores kept busy by others above which a window is disturbed, where they and the backend's threads do not all find a core."""
MIN_CHECKED_ROWS = 4
CONTROL_SHARE = 0.1
"""Of the wall time, that the control's samples may take, beyond those that an interval needs."""


@dataclass(eq=False)
class Participant:
    """One backend, or the control, in one cell, while it is measured.

    seed: of the inputs; ring_size: how many sets of them the worker holds; drawn: for how many calls it was told to draw them.
    runnable_s: how long it was not held still while samples were taken; cpu_s: CPU time that it used meanwhile.
    """

    backend: str
    client: WorkerClient
    device_kind: str
    limit_s: float
    seed: int
    ring_size: int
    drawn: int = 1
    samples: list[RawSample] = field(default_factory=list)
    clock_gaps: list[float] = field(default_factory=list)
    handovers: list[float] = field(default_factory=list)
    calls_made: int = 1  # call 0 was the check
    calls_per_sample: int = 1
    runnable_s: float = 0.0
    cpu_s: float = 0.0
    failure: WorkerError | None = None

    def next_keys(self) -> tuple[int, ...]:
        """The keys of what the worker must draw before its next sample: that sample's inputs, and others for the last one's."""
        end = self.calls_made + max(self.ring_size, self.calls_per_sample)
        keys = tuple(call_key(self.seed, call) for call in range(self.drawn, end))
        self.drawn = end
        return keys


@dataclass(frozen=True, eq=False)
class OutputCheck:
    """What participants returned from one timed call, to be judged when sampling is over."""

    call: int
    rows: Any
    projection_seed: int
    results: dict[str, Results]


def too_few_free_cores(foreign: float, threads: int) -> bool:
    """Whether others keep so many cores busy that they and a backend's threads do not all find one."""
    return foreign > FOREIGN_CORES and foreign + threads > cpu_count()


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
        self._cell, self._contestants = cell, participants
        self._rng, self._timer, self._controls = rng, timer, controls
        self._everyone = (*participants, *controls)
        # who computes on a GPU needs a core to launch from, whatever threads others were given
        self._cores = threads if any(c.device_kind == "cpu" for c in participants) else 1
        self.output_checks: list[OutputCheck] = []
        self.disturbed_s = 0.0
        self._disturbed = False
        self._highest_mhz: float | None = None

    def run(self, budget_s: float, audits: int, overhead_s: float, ring_size: int) -> None:
        """Sample until the intervals are narrow enough and the cell's overhead is repaid, or the budget is spent.

        audits: how many blocks are checked, at least 2 and where there are so many: the last one, and others drawn from all of
        them alike. overhead_s: what the cell cost before, and will cost after.
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
            active = [c for c in self._contestants if c.failure is None]
            if not active:
                break
            elapsed = perf_counter() - start
            out_of_time = elapsed - min(self.disturbed_s, budget_s) >= budget_s and block >= 2
            repaid = in_samples >= SHARE * (overhead_s + elapsed - in_samples)
            last = out_of_time or (block >= MIN_BLOCKS and repaid and self._narrow(active, block))
            # Each block is kept with the same chance, however many will come (reservoir sampling). The last one is in any case.
            audit = last or self._rng.random() < (audits - 1) / (block + 1)
            due = self._due_controls(self._timer.seconds("control") - controls_before, elapsed)
            seconds, fetched = self._block(active, due, block, audit, ring_size)
            in_samples += seconds
            if last or (audit and len(kept) < audits - 1):
                kept.append(fetched)
            elif audit:
                kept[int(self._rng.integers(audits - 1))] = fetched
            self._look_at_gpu(block)
            block += 1
            if perf_counter() - window[0] >= WINDOW_S:
                self._close_window(window)
                window = self._open_window()
            if last:
                break
        self._close_window(window)
        self.output_checks = [audit for of_block in kept for audit in of_block]
        for participant in self._everyone:
            participant.cpu_s += participant.client.cpu_seconds
        self._timer.add("samples", in_samples)

    def _due_controls(self, spent: float, elapsed: float) -> list[Participant]:
        """The controls that take part in the next block: until they are known, and then as long as they are cheap."""
        cheap = spent <= CONTROL_SHARE * elapsed * len(self._controls)
        return [c for c in self._controls if c.failure is None and (cheap or len(c.samples) < MIN_BLOCKS)]

    def _warm_up(self) -> None:
        """Two samples that do not count; the second says how many calls a sample needs."""
        for participant in self._everyone:
            for _ in range(2):
                sample = self._sample(participant)
                if sample is None:
                    break
            else:
                assert sample is not None
                seconds = sample[0].wall_s if sample[0].device_s is None else sample[0].device_s
                least = CALLS_PER_RESOLUTION * TIMER_RESOLUTION_S[participant.device_kind]
                if (self._cell.launch == "call" or participant in self._controls) and seconds < least:
                    participant.calls_per_sample = ceil(least / max(seconds, least / 1000))
            participant.clock_gaps.clear()
            participant.handovers.clear()

    def _block(
        self, active: list[Participant], controls: list[Participant], block: int, audit: bool, ring_size: int
    ) -> tuple[float, list[OutputCheck]]:
        """One sample of each, in random order; returns the seconds inside those of the backends, and what is to be judged."""
        inside = 0.0
        # The same call is checked on the same inputs for all, so that what is expected is computed once.
        seed = int(self._rng.integers(2**31))
        groups: dict[int, OutputCheck] = {}
        members = [*active, *controls]
        for position, index in enumerate(self._rng.permutation(len(members))):
            participant = members[index]
            first, calls = participant.calls_made, participant.calls_per_sample
            with self._timer.measure("control") if participant in controls else nullcontext():
                done = self._sample(participant)
            if done is None:
                continue
            sample, _ = done
            participant.samples.append(RawSample(block, position, calls, sample.wall_s, sample.device_s, None, True))
            if participant in controls:
                continue
            inside += sample.wall_s * calls
            if audit:
                chosen = int(self._rng.integers(calls))
                call = first + chosen
                if call not in groups:
                    groups[call] = OutputCheck(call, self._draw_rows(call, ring_size), seed, {})
                with self._timer.measure("checks"):
                    answer = self._ask(participant, Fetch(chosen, groups[call].rows, seed))
                if answer is not None:
                    groups[call].results[participant.backend] = answer
        return inside, list(groups.values())

    def _draw_rows(self, call: int, ring_size: int) -> Any:
        """Rows to check of a call, drawn after it: at least four, the one that was new among them."""
        batch = self._cell.batch_size
        rows = set(self._rng.permutation(batch)[:MIN_CHECKED_ROWS].tolist())
        if call >= ring_size:
            rows.add(fresh_row(self._cell, call // ring_size))
        return np.array(sorted(rows))

    def _sample(self, participant: Participant) -> tuple[Sample, float] | None:
        """One timed sample, and the parent's own seconds for it; None where the worker failed."""
        client, woken = participant.client, perf_counter()
        client.resume()
        ready = self._ask(participant, Prepare(participant.calls_made, participant.calls_per_sample, participant.next_keys()))
        if ready is None:
            return None
        start = perf_counter()
        sample = self._ask(participant, Go())
        seconds = perf_counter() - start
        if sample is None:
            return None
        client.pause()
        participant.runnable_s += perf_counter() - woken
        participant.calls_made += participant.calls_per_sample
        participant.clock_gaps.append(seconds - (sample.wall_s + sample.handover_s) * participant.calls_per_sample)
        participant.handovers.append(sample.handover_s)
        return sample, seconds

    def _ask(self, participant: Participant, message: Any) -> Any:
        woken = perf_counter()
        participant.client.resume()
        try:
            return participant.client.ask(message, participant.limit_s)
        except WorkerError as error:
            participant.failure = error
            return None
        finally:
            if isinstance(message, Fetch):
                participant.client.pause()
                participant.runnable_s += perf_counter() - woken

    def _narrow(self, active: list[Participant], block: int) -> bool:
        """Whether every median is known well enough; looked at less often the more blocks there are."""
        if block % max(1, block // 10):
            return False
        with self._timer.measure("statistics"):
            used = [[s.seconds for s in c.samples if s.used] for c in active]
            return all(seconds and median_interval(seconds).half_width <= ENOUGH for seconds in used)

    def _own_seconds(self) -> float:
        return time.process_time() + sum(c.client.cpu_seconds for c in self._everyone)

    def _look_at_gpu(self, block: int) -> None:
        """Write the GPU's clock into the samples of a block; those taken at a clock that is held down do not count."""
        if all(c.device_kind == "cpu" for c in self._contestants) or (state := gpu_state()) is None:
            return
        disturbed = why_disturbed(state, self._highest_mhz) is not None
        self._highest_mhz = max(self._highest_mhz or 0.0, state.clock_mhz or 0.0) or None
        for participant in self._everyone:
            if participant.device_kind != "cpu" and participant.samples and participant.samples[-1].block == block:
                participant.samples[-1] = participant.samples[-1].with_gpu_state(
                    state.clock_mhz, state.throttle_bits, used=not disturbed
                )

    def _open_window(self) -> tuple[float, float | None, float, dict[str, int]]:
        counts = {c.backend: len(c.samples) for c in self._everyone}
        return perf_counter(), busy_seconds(), self._own_seconds(), counts

    def _close_window(self, window: tuple[float, float | None, float, dict[str, int]]) -> None:
        """Write the foreign load of the window into its samples; those of a disturbed one do not count."""
        began, busy, own, counts = window
        seconds, now = perf_counter() - began, busy_seconds()
        if busy is None or now is None or seconds <= 0:
            return
        foreign = max(0.0, (now - busy - (self._own_seconds() - own)) / seconds)
        disturbed = too_few_free_cores(foreign, self._cores)
        if seconds < WINDOW_S:  # the counter's steps are too long to tell: as before
            disturbed = self._disturbed
        self._disturbed = disturbed
        self.disturbed_s += seconds * disturbed
        for participant in self._everyone:
            for k in range(counts[participant.backend], len(participant.samples)):
                sample = participant.samples[k]
                participant.samples[k] = sample.with_background_load(foreign, used=not disturbed and sample.used)
