"""Whether a measured time is credible and known well enough, and the figures of its row."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from ..machine.host import cache_bytes
from ..oracle.agreement import Judgement
from ..records import Cell, RawSample, Status
from ..statistics import Interval, block_ratios, median_interval
from ..text import count_of
from . import cost
from .messages import Checked, MemoryUsed, Opened
from .peaks import Peaks
from .sampling import Participant

UNSTABLE = 0.10
"""Half-width of the median's interval above which a time is called unstable."""
MIN_USED = 6
"""Fewer samples than this have no interval."""
FASTER_THAN_PEAK = 1.10
"""How many times as fast as the peaks a credible time may be."""
CLOCK_GAP_S, CLOCK_GAP_SHARE = 2e-3, 0.02
"""The parent's clock may differ from the worker's by this, and by this share of the sample."""
FEW_CLOCK_GAP_S, BUSY_CLOCK_GAP_SHARE = 20e-3, 3.0
"""The same for fewer than MANY_SAMPLES samples; the share is for rows that are UNSTABLE for background load."""
MANY_SAMPLES = 10
"""Of this many answers some come without delay under any load; of fewer, all may be late."""
ARRAY_S, FEW_ARRAY_S, CUDA_ARRAY_S = 40e-6, 100e-6, 100e-6
HANDOVER_BYTES_PER_S = 1e9
"""to_device and to_host of an array, whose work is done outside the clock, take a Python call (on a GPU, and a synchronisation)
and a slow copy."""
MULTIPROCESSOR_BYTES = (228 + 256) * 1024
"""Shared memory and registers of the largest multiprocessor so far (CUDA C++ Programming Guide, compute capability 9.0)."""
MAX_CORES_FACTOR = 1.1
"""How many times its threads a backend may use of the cores."""
CPU_TIME_STEPS_S = 0.02
"""The system counts user and system CPU time in steps of 10 ms."""
STOPPING_S = 100e-6
"""Stopping all threads of a process takes this long."""
STREAM_GAP_S, STREAM_GAP_SHARE = 100e-6, 0.20
"""By how much the wall clock until the device is done may exceed the events on the stream."""


@dataclass
class BackendState:
    """What is known of one backend in one cell while it is measured."""

    status: Status = "PASSED"
    reason: str | None = None
    opened: Opened | None = None
    checked: Checked | None = None
    judgement: Judgement | None = None
    """The one with the largest error relative to what is allowed."""
    max_error: float = 0.0
    """The largest absolute error of all outputs that were checked."""
    participant: Participant | None = None
    memory: MemoryUsed | None = None

    def fail(self, status: Status, reason: str) -> None:
        """Set the status and its reason."""
        self.status, self.reason = status, reason


Timed = tuple[Interval, list[RawSample]]


def timed(state: BackendState) -> Timed:
    """The median with its interval, and the samples that count: those of undisturbed blocks, if there are enough of them."""
    assert state.participant is not None
    samples = state.participant.samples
    used = [s for s in samples if s.used]
    if len(used) < min(MIN_USED, len(samples)):
        load = float(np.median([s.foreign_load or 0.0 for s in samples]))
        state.fail("UNSTABLE", f"background load of {load:.1f} cores throughout")
        state.participant.samples = used = [s.with_background_load(s.foreign_load, used=True) for s in samples]
    return median_interval([s.seconds for s in used]), used


def unstable_reason(interval: Interval, count: int) -> str:
    """Why a time is UNSTABLE after that many samples."""
    if interval.half_width == inf:
        return f"only {count} samples within the budget, too few for an interval"
    return f"the median is known to ±{interval.half_width:.0%} after {count} samples"


def figures(
    interval: Interval, used: list[RawSample], baseline: tuple[Interval, list[RawSample]] | None, baseline_status: str
) -> dict[str, Any]:
    """The time and its ratio to the baseline's within blocks, with their intervals where they are known."""
    figures: dict[str, Any] = {"median_s": interval.median}
    if interval.half_width < inf:
        figures |= {"ci_low_s": interval.low, "ci_high_s": interval.high}
    if baseline is None or baseline_status not in ("PASSED", "UNSTABLE"):
        return figures
    ratios = block_ratios(used, baseline[1])
    if ratios.size:
        ratio = median_interval(ratios)
        figures["ratio_to_baseline"] = ratio.median
        if ratio.half_width < inf:
            figures |= {"ratio_ci_low": ratio.low, "ratio_ci_high": ratio.high}
    return figures


def why_suspect(cell: Cell, state: BackendState, interval: Interval, peaks: Peaks, threads: int) -> str | None:
    """The first reason why a time is not credible; None if it is."""
    return (
        too_fast(cell, state, interval, peaks)
        or clocks_differ(state)
        or deferred_work(cell, state)
        or too_many_cores(state, threads)
    )


def floor(cell: Cell, device: str | None, kind: str, peaks: Peaks) -> float | None:
    """Seconds that a call takes at least at the measured peaks; None where no peak is known.

    The largest of: its operations; the bytes that no cache can hold; and, on a GPU where U exceeds a multiprocessor, one
    exchange between blocks a step (layers of a stack may run one step after each other, unless both directions must end first).

    device: its name; kind: "cpu" or "cuda".
    """
    if device is None:
        return None
    rate, bandwidth = peaks.get((device, f"gemm:{cell.spec.precision}")), peaks.get((device, "copy"))
    exchange = peaks.get((device, "grid_exchange"))
    bounds = []
    recurrent = 4 * cell.spec.hidden_size * cell.spec.state_size * cell.spec.dtype.itemsize
    if exchange and not cell.ragged and recurrent > MULTIPROCESSOR_BYTES:
        steps = cell.sequence_length
        layers = cell.spec.num_layers
        in_turn = layers * steps if cell.spec.bidirectional else steps + layers - 1
        bounds.append(in_turn * (2 if cell.training else 1) * exchange)
    if rate:
        bounds.append(cost.min_share(cell) * cost.flops(cell) / rate)
    if bandwidth:
        bounds.append(max(0, cost.io_bytes(cell) + cost.weight_bytes(cell) - cache_bytes(kind)) / bandwidth)
    return max(bounds, default=None)


def too_fast(cell: Cell, state: BackendState, interval: Interval, peaks: Peaks) -> str | None:
    """Why a time is above the peaks of the machine; None if it is not."""
    if not 0 < interval.median < inf:
        return f"the worker reports {interval.median:.3g} s a call"
    device = None if state.opened is None else state.opened.device
    rate, operations = peaks.get((str(device), f"gemm:{cell.spec.precision}")), cost.min_share(cell) * cost.flops(cell)
    if rate and interval.median * FASTER_THAN_PEAK < operations / rate:
        claimed = operations / interval.median
        return f"{claimed / 1e9:.3g} GFLOP/s, but the peak measured here is {rate / 1e9:.3g}"
    kind = "cpu" if state.participant is None else state.participant.device_kind
    bandwidth, uncached = peaks.get((str(device), "copy")), cost.min_share(cell) * cost.io_bytes(cell) - cache_bytes(kind)
    if bandwidth and interval.median * FASTER_THAN_PEAK < uncached / bandwidth:
        claimed = uncached / interval.median
        return f"{claimed / 1e9:.3g} GB/s of x and y, but the peak measured here is {bandwidth / 1e9:.3g}"
    return None


def _in_the_faster_half(participant: Participant, values: list[float]) -> list[float]:
    """Of one value a sample, those of the samples that count up to the median. What hides work in most samples only, to be
    honest in the others, hides it in these.
    """
    used = [(sample.seconds, value) for sample, value in zip(participant.samples, values, strict=True) if sample.used]
    median = float(np.median([seconds for seconds, _ in used]))
    return [value for seconds, value in used if seconds <= median]


def deferred_work(cell: Cell, state: BackendState) -> str | None:
    """Why a time does not contain all of the work: to_device and to_host take longer than handovers do. None if not."""
    assert state.participant is not None
    handovers = _in_the_faster_half(state.participant, state.participant.handovers)
    took = float(np.quantile(handovers, 0.1))
    each = ARRAY_S if len(handovers) >= MANY_SAMPLES else FEW_ARRAY_S  # load delays some, not all of many
    if state.participant.device_kind == "cuda":
        each = CUDA_ARRAY_S
    arrays, moved = 6, cost.io_bytes(cell)
    if cell.training:
        weights = sum(shape is not None for l in range(cell.spec.num_layers) for shape in cell.spec.weight_shapes(l).values())
        arrays += 6 + weights * cell.spec.num_directions
        moved += cost.weight_bytes(cell)
    allowed = each * arrays + moved / HANDOVER_BYTES_PER_S
    if len(handovers) < MANY_SAMPLES and state.status != "PASSED":  # as in clocks_differ
        allowed += FEW_CLOCK_GAP_S
    if took > allowed:
        return (
            f"to_device and to_host take {took:.3g} s a call: work is done before the clock starts or deferred until the result"
            " is read"
        )
    return None


def too_many_cores(state: BackendState, threads: int) -> str | None:
    """Why a time used more cores than each backend was given; None if it did not."""
    assert state.participant is not None
    participant = state.participant
    runnable_s = participant.runnable_s + STOPPING_S * len(participant.samples)
    if participant.cpu_s > threads * MAX_CORES_FACTOR * runnable_s + CPU_TIME_STEPS_S:
        cores = participant.cpu_s / runnable_s
        return f"it kept {cores:.1f} cores busy, and all backends were given {count_of(threads, 'thread')}"
    return None


def clocks_differ(state: BackendState) -> str | None:
    """Why the worker's time contradicts the parent's clock, or the clock around the whole device; None if it does not.

    Background load delays some answers of any worker, so only the tenth with the smallest gaps counts.
    """
    assert state.participant is not None
    participant = state.participant
    wall = float(np.median([s.wall_s * s.calls for s in participant.samples]))
    gaps = _in_the_faster_half(participant, participant.clock_gaps)
    gap = float(np.quantile(gaps, 0.1))
    allowed = CLOCK_GAP_S + CLOCK_GAP_SHARE * wall
    if len(gaps) < MANY_SAMPLES:
        # under load each of a few answers may be late by several turns of the scheduler, whose length depends on the work;
        # only a row that is UNSTABLE for that load has this wider allowance
        allowed = FEW_CLOCK_GAP_S + (CLOCK_GAP_SHARE if state.status == "PASSED" else BUSY_CLOCK_GAP_SHARE) * wall
    if gap > allowed:
        return f"the worker reports {wall:.3g} s a sample, the parent's clock {wall + gap:.3g} s"
    if min(participant.clock_gaps) < -CLOCK_GAP_S:
        return (
            f"the worker reports a sample that took {-min(participant.clock_gaps):.3g} s longer than the parent waited for it"
        )
    device_times = [s.device_s * s.calls for s in participant.samples if s.device_s is not None]
    if device_times:
        on_stream = float(np.median(device_times))
        if wall - on_stream > STREAM_GAP_S + STREAM_GAP_SHARE * on_stream:
            return f"{on_stream:.3g} s on the stream, but {wall:.3g} s until the device was done"
    return None
