"""One cell, all backends: open, check, sample, check again, and decide what each row may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, inf
from typing import Any

import numpy as np

from backends import Capabilities, LSTMWeights

from ..machine import cache_bytes
from ..store import RawSample, Row, Status
from ..verify.agreement import Expected, Judgement
from . import cost
from .cell import Cell
from .client import WorkerClient, WorkerError
from .inputs import draw_batch, draw_weights
from .ledger import Ledger
from .messages import Check, Checked, Memory, Open, Opened
from .peaks import Peaks
from .sampling import CHECKED_ROWS, Audit, Contestant, Sampler
from .statistics import Interval, median_interval

UNSTABLE = 0.10
"""Half-width of the median's interval above which a time is called unstable."""
AUDITS = 3
LEAST_USED = 6
"""Fewer samples than this have no interval."""
FULL_CHECK_FLOPS = 1e9
"""Below this cost the first check looks at every batch row; above, at four and the first and the last."""
RING_FACTOR = 1.25
LARGEST_RING = 32
FASTER_THAN_PEAK = 1.10
CLOCK_GAP_S = 2e-3
CLOCK_GAP_SHARE = 0.10
READ_S = 50e-6
READ_BYTES_PER_S = 1e9
"""y is there when the time is taken; to read it then takes no longer than a call and a slow copy."""
STREAM_GAP_S = 100e-6
STREAM_GAP_SHARE = 0.20
LEAST_LIMIT_S = 60.0
SLOWEST_FLOPS = 1e9
"""A call may take a minute and as long as its operations take at this rate; then it counts as hung."""


@dataclass(frozen=True)
class CellContext:
    """What stays the same over a run's cells.

    peaks: the best measured on this machine so far. measure_peaks: measures anew, and returns the best so far.
    """

    run_id: str
    machine_id: str
    threads: int
    budget_s: float
    baseline: str
    weights_file: str | None
    load_weights: Callable[[Cell, int], LSTMWeights]
    peaks: Peaks
    measure_peaks: Callable[[], Peaks]
    ledger: Ledger


@dataclass
class _State:
    """What is known of one backend in one cell."""

    status: Status = "PASSED"
    reason: str | None = None
    opened: Opened | None = None
    checked: Checked | None = None
    judgement: Judgement | None = None
    contestant: Contestant | None = None
    peak_memory: int | None = None

    def fail(self, status: Status, reason: str) -> None:
        self.status, self.reason = status, reason


def drawn_weights(cell: Cell, seed: int) -> LSTMWeights:
    """The weights of a cell that has no weights file."""
    return draw_weights(cell.spec, seed)


def measure_cell(
    cell: Cell,
    seed: int,
    clients: Mapping[str, WorkerClient | WorkerError],
    promises: Mapping[str, Capabilities],
    context: CellContext,
) -> list[tuple[Row, list[RawSample]]]:
    """Rows and samples of one cell, one row a backend. A client that is a WorkerError stands for a backend that cannot run.

    What goes wrong in a worker ends in its row; only what the parent itself cannot do is raised.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    rng = np.random.default_rng([seed, 2])
    ledger = context.ledger
    before = ledger.overhead()
    states = {backend: _State() for backend in clients}
    limit_s = LEAST_LIMIT_S + cost.flops(cell) / SLOWEST_FLOPS
    ring_size, flush_bytes = _ring(cell)

    running: dict[str, WorkerClient] = {}
    with ledger.spend("setup"):
        for backend, client in clients.items():
            if isinstance(client, WorkerError):
                states[backend].fail(client.status, client.reason)  # type: ignore[arg-type]
                continue
            message = Open(cell, seed, context.weights_file, ring_size, flush_bytes)
            states[backend].opened = _ask(states[backend], client, message, limit_s)
            if states[backend].opened is not None:
                running[backend] = client

    rows = _first_rows(cell, rng)
    projection_seed = int(rng.integers(2**31))
    weights: LSTMWeights | None = None
    if running:
        with ledger.spend("setup"):
            weights = context.load_weights(cell, seed)
            for backend, client in running.items():
                states[backend].checked = _ask(states[backend], client, Check(rows, projection_seed), limit_s)
        checks_before = ledger.spent("checks")
        with ledger.spend("checks"):
            results = {b: s.checked.results for b, s in states.items() if s.checked is not None}
            _judge(cell, weights, seed, 0, ring_size, Audit(0, rows, projection_seed, results), states, promises, first=True)
        one_check = ledger.spent("checks") - checks_before
        audits = int(np.clip(0.3 * context.budget_s / max(one_check, 1e-9), 1, AUDITS))
        contestants = []
        for backend, client in running.items():
            if states[backend].status == "PASSED" and states[backend].checked is not None:
                states[backend].contestant = Contestant(backend, client, promises[backend].device, limit_s)
                contestants.append(states[backend].contestant)
        sampler = Sampler(cell, [c for c in contestants if c is not None], context.threads, rng, ledger)
        sampler.run(context.budget_s, audits, ledger.overhead() - before + audits * one_check, ring_size)
        for state in states.values():
            if state.contestant is not None and state.contestant.failure is not None:
                state.fail(state.contestant.failure.status, state.contestant.failure.reason)  # type: ignore[arg-type]
        with ledger.spend("checks"):
            for audit in sampler.audits:
                _judge(cell, weights, seed, audit.call, ring_size, audit, states, promises, first=False)
        for backend, client in running.items():
            if client.alive:
                client.resume()
                state = states[backend]
                if state.status == "PASSED":
                    state.peak_memory = _ask(state, client, Memory(), limit_s)

    with ledger.spend("statistics"):
        timed = {b: _timed(s) for b, s in states.items() if s.contestant is not None and s.status == "PASSED"}
    peaks = context.peaks
    if any(_too_fast(cell, states[b], interval, peaks) for b, (interval, _) in timed.items()):
        with ledger.spend("peaks"):  # the machine may have been busy when its peaks were measured
            peaks = context.measure_peaks()
    with ledger.spend("statistics"):
        return _rows(cell, seed, states, timed, peaks, context, started_at)


def _ring(cell: Cell) -> tuple[int, int]:
    """How many input sets take turns, and how many bytes to write before each sample to push the caches' content out."""
    if cell.cache == "warm":
        return 2, 0
    wanted = RING_FACTOR * cache_bytes()
    sets = ceil(wanted / cost.io_bytes(cell)) + 1
    return (sets, 0) if sets <= LARGEST_RING else (2, int(wanted))


def _first_rows(cell: Cell, rng: np.random.Generator) -> Any:
    batch = cell.batch_size
    if cost.flops(cell) <= FULL_CHECK_FLOPS or batch <= CHECKED_ROWS:
        return np.arange(batch)
    return np.unique([0, batch - 1, *rng.permutation(batch)[:CHECKED_ROWS]])


def _ask(state: _State, client: WorkerClient, message: Any, limit_s: float) -> Any:
    try:
        return client.ask(message, limit_s)
    except WorkerError as error:
        state.fail(error.status, error.reason)  # type: ignore[arg-type]
        return None


def _judge(
    cell: Cell,
    weights: LSTMWeights,
    seed: int,
    call: int,
    ring_size: int,
    audit: Audit,
    states: dict[str, _State],
    promises: Mapping[str, Capabilities],
    *,
    first: bool,
) -> None:
    """Judge what backends returned from one call; a wrong one gets no time."""
    judged = {b: r for b, r in audit.results.items() if states[b].status == "PASSED"}
    if not judged:
        return
    which, turn = call % ring_size, call // ring_size
    # Gradients of weights are sums over the whole batch; everything else is a matter of its row.
    inputs = draw_batch(cell, seed, which, turn, np.arange(cell.batch_size) if cell.training else audit.rows)
    expected = Expected(cell.spec, weights, inputs, rows=audit.rows, seed=audit.projection_seed)
    for backend, results in judged.items():
        verdict = expected.judge(results, activation_ulps=promises[backend].activation_ulps)
        state = states[backend]
        worst = state.judgement
        if worst is None or verdict.error_bound_ratio > worst.error_bound_ratio or not verdict.agrees:
            state.judgement = verdict
        if not verdict.agrees:
            where = "" if first else f"in timed call {call}: "
            state.fail("WRONG", where + verdict.reason)


Timed = tuple[Interval, list[RawSample]]


def _timed(state: _State) -> Timed:
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


def _rows(
    cell: Cell,
    seed: int,
    states: dict[str, _State],
    timed: dict[str, Timed],
    peaks: Peaks,
    context: CellContext,
    started_at: str,
) -> list[tuple[Row, list[RawSample]]]:
    flops, moved = cost.flops(cell), cost.io_bytes(cell) + cost.weight_bytes(cell)
    for backend, (interval, _) in timed.items():
        reason = (
            _too_fast(cell, states[backend], interval, peaks)
            or _clocks_differ(states[backend])
            or _put_off(cell, states[backend])
        )
        if reason is not None:
            states[backend].fail("SUSPECT", reason)
    rows = []
    for backend, state in states.items():
        samples = [] if state.contestant is None else state.contestant.samples
        figures: dict[str, Any] = {}
        if backend in timed and state.status in ("PASSED", "UNSTABLE"):
            interval, used = timed[backend]
            if state.status == "PASSED" and not interval.half_width <= UNSTABLE:
                state.fail("UNSTABLE", _unstable_reason(interval, len(used)))
            figures = _figures(interval, used, timed.get(context.baseline), states[context.baseline].status)
        opened, checked, verdict = state.opened, state.checked, state.judgement
        device = None if opened is None else opened.device
        row = Row(
            run_id=context.run_id,
            backend=backend,
            device=device,
            machine_id=context.machine_id,
            **cell.to_dict(),
            threads=context.threads,
            seed=seed,
            status=state.status,
            reason=state.reason,
            samples=len(samples),
            setup_s=None if opened is None or checked is None else opened.setup_s + checked.first_call_s,
            transfer_s=None if checked is None else checked.transfer_s,
            peak_memory_bytes=state.peak_memory,
            flops=flops,
            bytes=moved,
            floor_s=_floor(cell, device, peaks),
            max_error=None if verdict is None else _finite(verdict.max_error),
            error_bound_ratio=None if verdict is None else _finite(verdict.error_bound_ratio),
            effective_bits=None if verdict is None else verdict.effective_bits,
            started_at=started_at,
            **figures,
        )
        rows.append((row, samples))
    return rows


def _finite(value: float) -> float:
    """NaN would be stored as nothing; an error that is no number is infinitely large."""
    return inf if np.isnan(value) else float(value)


def _unstable_reason(interval: Interval, count: int) -> str:
    if interval.half_width == inf:
        return f"{count} samples within the budget are too few for an interval"
    return f"the median is known to {interval.half_width:.0%} only, after {count} samples"


def _figures(
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


def _floor(cell: Cell, device: str | None, peaks: Peaks) -> float | None:
    """Seconds that a call takes at least at the measured peaks: its operations, or the bytes that no cache can hold."""
    if device is None:
        return None
    rate, bandwidth = peaks.get((device, f"gemm:{cell.precision}")), peaks.get((device, "copy"))
    bounds = []
    if rate:
        bounds.append(cost.flops(cell) / rate)
    if bandwidth:
        bounds.append(max(0, cost.io_bytes(cell) + cost.weight_bytes(cell) - cache_bytes()) / bandwidth)
    return max(bounds, default=None)


def _too_fast(cell: Cell, state: _State, interval: Interval, peaks: Peaks) -> str | None:
    """Why a time cannot be: the machine was never seen to compute or to copy that fast. None if it was."""
    device = None if state.opened is None else state.opened.device
    rate = peaks.get((str(device), f"gemm:{cell.precision}"))
    if rate and interval.median * FASTER_THAN_PEAK < cost.flops(cell) / rate:
        claimed = cost.flops(cell) / interval.median
        return f"{claimed / 1e9:.3g} GFLOP/s, but the best measured here is {rate / 1e9:.3g}"
    bandwidth, uncached = peaks.get((str(device), "copy")), cost.io_bytes(cell) - cache_bytes()
    if bandwidth and interval.median * FASTER_THAN_PEAK < uncached / bandwidth:
        claimed = uncached / interval.median
        return f"{claimed / 1e9:.3g} GB/s of x and y, but the best copy measured here is {bandwidth / 1e9:.3g}"
    return None


def _put_off(cell: Cell, state: _State) -> str | None:
    """Why a time is not all of the work: reading y afterwards takes longer than handing it over. None if it does not."""
    assert state.contestant is not None
    took = float(np.quantile(state.contestant.reads, 0.1))
    if took > READ_S + cost.io_bytes(cell) / READ_BYTES_PER_S:
        return f"to_host takes {took:.3g} s for y after the call: work is put off until its result is read"
    return None


def _clocks_differ(state: _State) -> str | None:
    """Why a time is not to be believed: the parent's clock, or the one around the whole device, says another. None if not.

    A busy machine delays some answers of a worker that hides nothing, so the tenth of the samples with the smallest gap counts.
    """
    assert state.contestant is not None
    contestant = state.contestant
    wall = float(np.median([s.wall_s * s.calls for s in contestant.samples]))
    gap = float(np.quantile(contestant.gaps, 0.1))
    if gap > CLOCK_GAP_S + CLOCK_GAP_SHARE * wall:
        return f"the worker says {wall:.3g} s a sample, the parent's clock {wall + gap:.3g} s"
    if min(contestant.gaps) < -CLOCK_GAP_S:
        return f"the worker says that a sample took {-min(contestant.gaps):.3g} s longer than the parent waited for it"
    device_times = [s.device_s * s.calls for s in contestant.samples if s.device_s is not None]
    if device_times:
        on_stream = float(np.median(device_times))
        if wall - on_stream > STREAM_GAP_S + STREAM_GAP_SHARE * on_stream:
            return f"{on_stream:.3g} s on the stream, but {wall:.3g} s until the device was done"
    return None
