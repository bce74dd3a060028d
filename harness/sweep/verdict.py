"""What a row may say: whether a time is enough, could have been, and how it compares."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from ..machine import cache_bytes
from ..store import RawSample, Status
from ..verify.agreement import Judgement
from . import cost
from .cell import Cell
from .messages import Checked, Opened
from .peaks import Peaks
from .sampling import Contestant
from .statistics import Interval, median_interval

UNSTABLE = 0.10
"""Half-width of the median's interval above which a time is called unstable."""
LEAST_USED = 6
"""Fewer samples than this have no interval."""
FASTER_THAN_PEAK = 1.10
CLOCK_GAP_S = 2e-3
CLOCK_GAP_FEW_S = 20e-3
MANY_GAPS = 20
"""Of this many answers at least some come without delay, however busy the machine; of fewer, all may be late."""
CLOCK_GAP_SHARE = 0.10
READ_S = 50e-6
READ_FEW_S = 500e-6
READ_BYTES_PER_S = 1e9
"""y is there when the time is taken; to read it then takes no longer than a call and a slow copy."""
STREAM_GAP_S = 100e-6
STREAM_GAP_SHARE = 0.20


@dataclass
class State:
    """What is known of one backend in one cell, while it is measured."""

    status: Status = "PASSED"
    reason: str | None = None
    opened: Opened | None = None
    checked: Checked | None = None
    judgement: Judgement | None = None
    contestant: Contestant | None = None
    peak_memory: int | None = None

    def fail(self, status: Status, reason: str) -> None:
        """From now on the row says this."""
        self.status, self.reason = status, reason


Timed = tuple[Interval, list[RawSample]]


def timed(state: State) -> Timed:
    """The median and the samples that it is made of: those of undisturbed blocks, where they are enough for an interval."""
    assert state.contestant is not None
    samples = state.contestant.samples
    used = [s for s in samples if s.used]
    if len(used) < LEAST_USED < len(samples) or not used:
        load = float(np.median([s.foreign_load or 0.0 for s in samples]))
        if len(used) < len(samples):
            state.fail("UNSTABLE", f"others kept {load:.1f} cores busy all the while")
        state.contestant.samples = used = [s.seen_beside(s.foreign_load, used=True) for s in samples]
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
    theirs = {s.block: s.seconds for s in baseline[1]}
    ratios = [s.seconds / theirs[s.block] for s in used if s.block in theirs]
    if ratios:
        ratio = median_interval(ratios)
        figures["ratio_to_baseline"] = ratio.median
        if ratio.half_width < inf:
            figures |= {"ratio_ci_low": ratio.low, "ratio_ci_high": ratio.high}
    return figures


def why_suspect(cell: Cell, state: State, interval: Interval, peaks: Peaks) -> str | None:
    """The first reason not to believe a time; None if there is none."""
    return too_fast(cell, state, interval, peaks) or clocks_differ(state) or put_off(cell, state)


def floor(cell: Cell, device: str | None, peaks: Peaks) -> float | None:
    """Seconds that a call takes at least at the measured peaks: its operations, or the bytes that no cache can hold."""
    if device is None:
        return None
    rate, bandwidth = peaks.get((device, f"gemm:{cell.precision}")), peaks.get((device, "copy"))
    bounds = []
    if rate:
        bounds.append(cost.least_share(cell) * cost.flops(cell) / rate)
    if bandwidth:
        bounds.append(max(0, cost.io_bytes(cell) + cost.weight_bytes(cell) - cache_bytes()) / bandwidth)
    return max(bounds, default=None)


def too_fast(cell: Cell, state: State, interval: Interval, peaks: Peaks) -> str | None:
    """Why a time cannot be: the machine was never seen to compute or to copy that fast. None if it was."""
    device = None if state.opened is None else state.opened.device
    rate, operations = peaks.get((str(device), f"gemm:{cell.precision}")), cost.least_share(cell) * cost.flops(cell)
    if rate and interval.median * FASTER_THAN_PEAK < operations / rate:
        claimed = operations / interval.median
        return f"{claimed / 1e9:.3g} GFLOP/s, but the best measured here is {rate / 1e9:.3g}"
    bandwidth, uncached = peaks.get((str(device), "copy")), cost.least_share(cell) * cost.io_bytes(cell) - cache_bytes()
    if bandwidth and interval.median * FASTER_THAN_PEAK < uncached / bandwidth:
        claimed = uncached / interval.median
        return f"{claimed / 1e9:.3g} GB/s of x and y, but the best copy measured here is {bandwidth / 1e9:.3g}"
    return None


def put_off(cell: Cell, state: State) -> str | None:
    """Why a time is not all of the work: reading y afterwards takes longer than handing it over. None if it does not."""
    assert state.contestant is not None
    took = float(np.quantile(state.contestant.reads, 0.1))
    allowed = READ_S if len(state.contestant.reads) >= MANY_GAPS else READ_FEW_S  # a busy machine delays a few, not all of many
    if took > allowed + cost.io_bytes(cell) / READ_BYTES_PER_S:
        return f"to_host takes {took:.3g} s for y after the call: work is put off until its result is read"
    return None


def clocks_differ(state: State) -> str | None:
    """Why a time is not to be believed: the parent's clock, or the one around the whole device, says another. None if not.

    A busy machine delays some answers of a worker that hides nothing, so the tenth of the samples with the smallest gap counts.
    """
    assert state.contestant is not None
    contestant = state.contestant
    wall = float(np.median([s.wall_s * s.calls for s in contestant.samples]))
    gap = float(np.quantile(contestant.gaps, 0.1))
    allowed = CLOCK_GAP_S if len(contestant.gaps) >= MANY_GAPS else CLOCK_GAP_FEW_S
    if gap > allowed + CLOCK_GAP_SHARE * wall:
        return f"the worker says {wall:.3g} s a sample, the parent's clock {wall + gap:.3g} s"
    if min(contestant.gaps) < -CLOCK_GAP_S:
        return f"the worker says that a sample took {-min(contestant.gaps):.3g} s longer than the parent waited for it"
    device_times = [s.device_s * s.calls for s in contestant.samples if s.device_s is not None]
    if device_times:
        on_stream = float(np.median(device_times))
        if wall - on_stream > STREAM_GAP_S + STREAM_GAP_SHARE * on_stream:
            return f"{on_stream:.3g} s on the stream, but {wall:.3g} s until the device was done"
    return None
