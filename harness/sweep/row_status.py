"""What a row may say: whether a time is enough, could have been, and how it compares."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from ..machine.host import cache_bytes
from ..oracle.agreement import Judgement
from ..records import Cell, RawSample, Status
from ..statistics import Interval, block_ratios, median_interval
from . import cost
from .messages import Checked, MemoryUsed, Opened
from .peaks import Peaks
from .sampling import Participant

UNSTABLE = 0.10
"""Half-width of the median's interval above which a time is called unstable."""
LEAST_USED = 6
"""Fewer samples than this have no interval."""
FASTER_THAN_PEAK = 1.10
CLOCK_GAP_S = 2e-3
CLOCK_GAP_FEW_S = 20e-3
MANY_GAPS = 10
"""Of this many answers at least some come without delay, however busy the machine; of fewer, all may be late."""
CLOCK_GAP_SHARE = 0.02
BUSY_GAP_SHARE = 3.0
ARRAY_S = 40e-6
ARRAY_FEW_S = 100e-6
CUDA_ARRAY_S = 100e-6
BESIDE_BYTES_PER_S = 1e9
"""The inputs are there when the clock starts, and what was returned is when it stops: to take over or to read an array takes
no longer than a Python call (on a GPU, with waiting for the device) and a slow copy."""
MULTIPROCESSOR_BYTES = (228 + 256) * 1024
"""Shared memory and registers of the largest multiprocessor so far (CUDA C++ Programming Guide, compute capability 9.0)."""
MORE_CORES = 1.1
CPU_STEPS_S = 0.02
STOPPING_S = 100e-6
"""The system counts CPU time, a program's own and what it does for it, in steps of 10 ms; and it takes a moment to hold all
threads of a process still."""
STREAM_GAP_S = 100e-6
STREAM_GAP_SHARE = 0.20


@dataclass
class BackendState:
    """What is known of one backend in one cell, while it is measured.

    judgement: the worst one, by the largest error over what is allowed; max_error: the largest error of all.
    """

    status: Status = "PASSED"
    reason: str | None = None
    opened: Opened | None = None
    checked: Checked | None = None
    judgement: Judgement | None = None
    max_error: float = 0.0
    participant: Participant | None = None
    memory: MemoryUsed | None = None

    def fail(self, status: Status, reason: str) -> None:
        """From now on the row says this."""
        self.status, self.reason = status, reason


Timed = tuple[Interval, list[RawSample]]


def timed(state: BackendState) -> Timed:
    """The median and the samples that it is made of: those of undisturbed blocks, where they are enough for an interval."""
    assert state.participant is not None
    samples = state.participant.samples
    used = [s for s in samples if s.used]
    if len(used) < min(LEAST_USED, len(samples)):
        load = float(np.median([s.foreign_load or 0.0 for s in samples]))
        state.fail("UNSTABLE", f"others kept {load:.1f} cores busy all the while")
        state.participant.samples = used = [s.with_background_load(s.foreign_load, used=True) for s in samples]
    return median_interval([s.seconds for s in used]), used


def unstable_reason(interval: Interval, count: int) -> str:
    """Why a time is not well enough known, after that many samples."""
    if interval.half_width == inf:
        return f"{count} samples within the budget are too few for an interval"
    return f"the median is known to {interval.half_width:.0%} only, after {count} samples"


def figures(
    interval: Interval, used: list[RawSample], baseline: tuple[Interval, list[RawSample]] | None, baseline_status: str
) -> dict[str, Any]:
    """Times, and their ratio to the baseline's, block by block. An end of an interval that is not known is left out."""
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
    """The first reason not to believe a time; None if there is none."""
    return (
        too_fast(cell, state, interval, peaks)
        or clocks_differ(state)
        or deferred_work(cell, state)
        or too_many_cores(state, threads)
    )


def floor(cell: Cell, device: str | None, kind: str, peaks: Peaks) -> float | None:
    """Seconds that a call takes at least at the measured peaks: its operations, the bytes that no cache can hold, or the
    exchanges between blocks of a GPU that its steps need one after the other, where U fits no single multiprocessor: one a
    step, for the layers of a stack may follow each other by a step, unless both directions must end before the next begins.

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
    """Why a time cannot be: the machine was never seen to compute or to copy that fast. None if it was."""
    if not 0 < interval.median < inf:
        return f"the worker says {interval.median:.3g} s a call"
    device = None if state.opened is None else state.opened.device
    rate, operations = peaks.get((str(device), f"gemm:{cell.spec.precision}")), cost.min_share(cell) * cost.flops(cell)
    if rate and interval.median * FASTER_THAN_PEAK < operations / rate:
        claimed = operations / interval.median
        return f"{claimed / 1e9:.3g} GFLOP/s, but the best measured here is {rate / 1e9:.3g}"
    kind = "cpu" if state.participant is None else state.participant.device_kind
    bandwidth, uncached = peaks.get((str(device), "copy")), cost.min_share(cell) * cost.io_bytes(cell) - cache_bytes(kind)
    if bandwidth and interval.median * FASTER_THAN_PEAK < uncached / bandwidth:
        claimed = uncached / interval.median
        return f"{claimed / 1e9:.3g} GB/s of x and y, but the best copy measured here is {bandwidth / 1e9:.3g}"
    return None


def _in_the_faster_half(participant: Participant, values: list[float]) -> list[float]:
    """Of one value a sample, those of the samples that count up to the median. What hides work in most samples only, to be
    honest in the others, hides it in these.
    """
    used = [(sample.seconds, value) for sample, value in zip(participant.samples, values, strict=True) if sample.used]
    median = float(np.median([seconds for seconds, _ in used]))
    return [value for seconds, value in used if seconds <= median]


def deferred_work(cell: Cell, state: BackendState) -> str | None:
    """Why a time is not all of the work: what is done beside the call takes longer than handing arrays over. None if not."""
    assert state.participant is not None
    reads = _in_the_faster_half(state.participant, state.participant.handovers)
    took = float(np.quantile(reads, 0.1))
    each = ARRAY_S if len(reads) >= MANY_GAPS else ARRAY_FEW_S  # a busy machine delays a few, not all of many
    if state.participant.device_kind == "cuda":
        each = CUDA_ARRAY_S
    arrays, moved = 6, cost.io_bytes(cell)
    if cell.training:
        weights = sum(shape is not None for l in range(cell.spec.num_layers) for shape in cell.spec.weight_shapes(l).values())
        arrays += 6 + weights * cell.spec.num_directions
        moved += cost.weight_bytes(cell)
    allowed = each * arrays + moved / BESIDE_BYTES_PER_S
    if len(reads) < MANY_GAPS and state.status != "PASSED":  # as in clocks_differ
        allowed += CLOCK_GAP_FEW_S
    if took > allowed:
        return (
            f"to_device and to_host take {took:.3g} s beside a call: work is done before the clock starts or put off until the"
            " result is read"
        )
    return None


def too_many_cores(state: BackendState, threads: int) -> str | None:
    """Why a time is of more cores than all backends were given; None if it is not."""
    assert state.participant is not None
    participant = state.participant
    runnable_s = participant.runnable_s + STOPPING_S * len(participant.samples)
    if participant.cpu_s > threads * MORE_CORES * runnable_s + CPU_STEPS_S:
        cores = participant.cpu_s / runnable_s
        return f"it kept {cores:.1f} cores busy, and all backends were given {threads} thread{'s' * (threads > 1)}"
    return None


def clocks_differ(state: BackendState) -> str | None:
    """Why a time is not to be believed: the parent's clock, or the one around the whole device, says another. None if not.

    A busy machine delays some answers of a worker that hides nothing, so a tenth with the smallest gaps counts.
    """
    assert state.participant is not None
    participant = state.participant
    wall = float(np.median([s.wall_s * s.calls for s in participant.samples]))
    gaps = _in_the_faster_half(participant, participant.clock_gaps)
    gap = float(np.quantile(gaps, 0.1))
    allowed = CLOCK_GAP_S + CLOCK_GAP_SHARE * wall
    if len(gaps) < MANY_GAPS:
        # beside a load each of a few answers may be late by several turns of the scheduler, which go by the length of the work;
        # only a row that is called UNSTABLE for that load has this wider allowance
        allowed = CLOCK_GAP_FEW_S + (CLOCK_GAP_SHARE if state.status == "PASSED" else BUSY_GAP_SHARE) * wall
    if gap > allowed:
        return f"the worker says {wall:.3g} s a sample, the parent's clock {wall + gap:.3g} s"
    if min(participant.clock_gaps) < -CLOCK_GAP_S:
        return f"the worker says that a sample took {-min(participant.clock_gaps):.3g} s longer than the parent waited for it"
    device_times = [s.device_s * s.calls for s in participant.samples if s.device_s is not None]
    if device_times:
        on_stream = float(np.median(device_times))
        if wall - on_stream > STREAM_GAP_S + STREAM_GAP_SHARE * on_stream:
            return f"{on_stream:.3g} s on the stream, but {wall:.3g} s until the device was done"
    return None
