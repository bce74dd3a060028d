"""One cell, all backends: open, check, sample, check again, and decide what each row may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, inf
from types import MappingProxyType
from typing import Any

import numpy as np

from lstm_parity.backends import Capabilities, LSTMWeights

from ..machine.host import cache_bytes
from ..oracle.agreement import Expected
from ..records import TIMED, Cell, RawSample, Row, now
from ..worker.client import WorkerClient, WorkerError
from . import cost, row_status
from .control import CONTROL_CELL
from .inputs import call_key, draw_batch, draw_weights
from .messages import CheckRequest, Memory, Open
from .peaks import Peaks
from .phase_timer import PhaseTimer
from .row_status import BackendState
from .sampling import MIN_CHECKED_ROWS, OutputCheck, Participant, Sampler

AUDITS = 8
"""Blocks whose outputs are checked, at the most."""
LEAST_AUDITS = 2
AUDIT_SHARE = 0.15
"""Of the budget, that checking them may cost; LEAST_AUDITS are checked in any case."""
FULL_CHECK_FLOPS = 1e9
"""Below this cost the first check looks at every batch row; above, at four and the first and the last."""
RING_FACTOR = 1.25
LARGEST_RING = 32
CONTROL_RING = 2
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
    timer: PhaseTimer


def drawn_weights(cell: Cell, seed: int) -> LSTMWeights:
    """The weights of a cell that has no weights file."""
    return draw_weights(cell.spec, seed)


@dataclass(frozen=True, eq=False)
class Measured:
    """One cell: rows with their samples, one row a backend; the control's samples by the device that it ran on; and how each
    backend's samples were taken.
    """

    results: list[tuple[Row, list[RawSample]]]
    controls: dict[str, list[RawSample]]
    participants: dict[str, Participant]


def measure_cell(
    cell: Cell,
    seed: int,
    weights_seed: int,
    clients: Mapping[str, WorkerClient | WorkerError],
    promises: Mapping[str, Capabilities],
    context: CellContext,
    controls: Mapping[str, WorkerClient] = MappingProxyType({}),
) -> Measured:
    """Measure one cell. A client that is a WorkerError stands for a backend that cannot run; controls: by device.

    seed: of the inputs, of the order of turns, and of what is checked; no worker learns it. weights_seed: of the weights.

    What goes wrong in a worker ends in its row; only what the parent itself cannot do is raised.
    """
    started_at = now()
    rng = np.random.default_rng([seed, 2])
    timer = context.timer
    before = timer.overhead()
    states = {backend: BackendState() for backend in clients}
    limit_s = LEAST_LIMIT_S + cost.flops(cell) / SLOWEST_FLOPS
    ring_size = _ring_size(cell, {promises[b].device for b, c in clients.items() if not isinstance(c, WorkerError)})

    running: dict[str, WorkerClient] = {}
    with timer.measure("setup"):
        for backend, client in clients.items():
            if isinstance(client, WorkerError):
                states[backend].fail(client.status, client.reason)
                continue
            flush_bytes = _flush_bytes(cell, promises[backend].device, ring_size)
            message = Open(cell, weights_seed, context.weights_file, ring_size, flush_bytes)
            states[backend].opened = _ask(states[backend], client, message, limit_s)
            if states[backend].opened is not None:
                running[backend] = client

    fixed = [c for device, client in controls.items() if (c := _open_control(device, client, timer)) is not None]
    rows = _first_rows(cell, rng)
    projection_seed = int(rng.integers(2**31))
    weights: LSTMWeights | None = None
    if running:
        with timer.measure("setup"):
            weights = context.load_weights(cell, weights_seed)
            check = CheckRequest(rows, projection_seed, call_key(seed, 0))
            for backend, client in running.items():
                states[backend].checked = _ask(states[backend], client, check, limit_s)
        checks_before = timer.seconds("checks")
        with timer.measure("checks"):
            first = {b: s.checked.results for b, s in states.items() if s.checked is not None}
            _judge(
                cell, weights, seed, 0, ring_size, OutputCheck(0, rows, projection_seed, first), states, promises, first=True
            )
        one_check = timer.seconds("checks") - checks_before
        audits = int(np.clip(AUDIT_SHARE * context.budget_s / max(one_check, 1e-9), LEAST_AUDITS, AUDITS))
        participants = []
        for backend, client in running.items():
            if states[backend].status == "PASSED" and states[backend].checked is not None:
                states[backend].participant = Participant(backend, client, promises[backend].device, limit_s, seed, ring_size)
                participants.append(states[backend].participant)
        sampler = Sampler(cell, [c for c in participants if c is not None], context.threads, rng, timer, fixed)
        sampler.run(context.budget_s, audits, timer.overhead() - before + audits * one_check, ring_size)
        for state in states.values():
            if state.participant is not None and state.participant.failure is not None:
                state.fail(state.participant.failure.status, state.participant.failure.reason)
        with timer.measure("checks"):
            for audit in sampler.output_checks:
                _judge(cell, weights, seed, audit.call, ring_size, audit, states, promises, first=False)
        for backend, client in running.items():
            if client.alive:
                client.resume()
                state = states[backend]
                if state.status == "PASSED":
                    state.memory = _ask(state, client, Memory(), limit_s)

    with timer.measure("statistics"):
        timed = {b: row_status.timed(s) for b, s in states.items() if s.participant is not None and s.status == "PASSED"}
    peaks = context.peaks
    if any(row_status.too_fast(cell, states[b], interval, peaks) for b, (interval, _) in timed.items()):
        with timer.measure("peaks"):  # the machine may have been busy when its peaks were measured
            peaks = context.measure_peaks()
    with timer.measure("statistics"):
        results = _rows(cell, seed, states, promises, timed, peaks, context, started_at)
    sampled = {backend: state.participant for backend, state in states.items() if state.participant is not None}
    return Measured(results, {c.device_kind: c.samples for c in fixed if c.samples}, sampled)


def _open_control(device: str, client: WorkerClient, timer: PhaseTimer) -> Participant | None:
    """The control, ready to be sampled; None where it cannot run. Its inputs are the same in every run."""
    with timer.measure("control"):
        try:
            client.ask(Open(CONTROL_CELL, 0, None, CONTROL_RING, 0), LEAST_LIMIT_S)
        except WorkerError:
            return None
    return Participant(f"control:{device}", client, device, LEAST_LIMIT_S, 0, CONTROL_RING, drawn=0)


def _ring_size(cell: Cell, kinds: set[str]) -> int:
    """How many input sets take turns: for a processor so many that its cache holds none of them still, where they are few."""
    if cell.cache == "warm" or "cpu" not in kinds:
        return 2
    sets = ceil(RING_FACTOR * cache_bytes("cpu") / cost.io_bytes(cell)) + 1
    return sets if sets <= LARGEST_RING else 2


def _flush_bytes(cell: Cell, kind: str, ring_size: int) -> int:
    """How many bytes push the cache's content out before each sample; a GPU's has just been filled by bringing the inputs."""
    if cell.cache == "warm" or (kind == "cpu" and ring_size > 2):
        return 0
    return int(RING_FACTOR * cache_bytes(kind))


def _first_rows(cell: Cell, rng: np.random.Generator) -> Any:
    batch = cell.batch_size
    if cost.flops(cell) <= FULL_CHECK_FLOPS or batch <= MIN_CHECKED_ROWS:
        return np.arange(batch)
    return np.unique([0, batch - 1, *rng.permutation(batch)[:MIN_CHECKED_ROWS]])


def _ask(state: BackendState, client: WorkerClient, message: Any, limit_s: float) -> Any:
    try:
        return client.ask(message, limit_s)
    except WorkerError as error:
        state.fail(error.status, error.reason)
        return None


def _judge(
    cell: Cell,
    weights: LSTMWeights,
    seed: int,
    call: int,
    ring_size: int,
    audit: OutputCheck,
    states: dict[str, BackendState],
    promises: Mapping[str, Capabilities],
    *,
    first: bool,
) -> None:
    """Judge what backends returned from one call; a wrong one gets no time."""
    judged = {b: r for b, r in audit.results.items() if states[b].status == "PASSED"}
    if not judged:
        return
    # Gradients of weights are sums over the whole batch; everything else is a matter of its row.
    inputs = draw_batch(cell, seed, ring_size, call, np.arange(cell.batch_size) if cell.training else audit.rows)
    expected = Expected(cell.spec, weights, inputs, rows=audit.rows, seed=audit.projection_seed)
    for backend, results in judged.items():
        judgement = expected.judge(results, activation_ulps=promises[backend].activation_ulps)
        state = states[backend]
        worst = state.judgement
        state.max_error = max(state.max_error, _finite(judgement.max_error))
        if worst is None or judgement.error_bound_ratio > worst.error_bound_ratio or not judgement.agrees:
            state.judgement = judgement
        if not judgement.agrees:
            where = "" if first else f"in timed call {call}: "
            state.fail("WRONG", where + judgement.reason)


def _rows(
    cell: Cell,
    seed: int,
    states: dict[str, BackendState],
    promises: Mapping[str, Capabilities],
    timed: dict[str, row_status.Timed],
    peaks: Peaks,
    context: CellContext,
    started_at: str,
) -> list[tuple[Row, list[RawSample]]]:
    flops, moved = cost.flops(cell), cost.io_bytes(cell) + cost.weight_bytes(cell)
    for backend, (interval, _) in timed.items():
        reason = row_status.why_suspect(cell, states[backend], interval, peaks, context.threads)
        if reason is not None:
            states[backend].fail("SUSPECT", reason)
    rows = []
    for backend, state in states.items():
        samples = [] if state.participant is None else state.participant.samples
        figures: dict[str, Any] = {}
        if backend in timed and state.status in ("PASSED", "UNSTABLE"):
            interval, used = timed[backend]
            if state.status == "PASSED" and not interval.half_width <= row_status.UNSTABLE:
                state.fail("UNSTABLE", row_status.unstable_reason(interval, len(used)))
            figures = row_status.figures(interval, used, timed.get(context.baseline), states[context.baseline].status)
        opened, checked, judgement = state.opened, state.checked, state.judgement
        device = None if opened is None else opened.device
        row = Row(
            run_id=context.run_id,
            backend=backend,
            device=device,
            machine_id=context.machine_id,
            cell=cell,
            threads=context.threads,
            seed=seed,
            status=state.status,
            reason=_reason(state, promises.get(backend)),
            samples=sum(sample.used for sample in samples),
            setup_s=None if opened is None or checked is None else opened.setup_s + checked.first_call_s,
            transfer_s=None if checked is None else checked.transfer_s,
            peak_memory_bytes=None if state.memory is None else state.memory.host,
            peak_device_memory_bytes=None if state.memory is None else state.memory.device,
            flops=flops,
            bytes=moved,
            floor_s=row_status.floor(cell, device, promises[backend].device, peaks) if device else None,
            max_error=None if judgement is None else state.max_error,
            error_bound_ratio=None if judgement is None else _finite(judgement.error_bound_ratio),
            effective_bits=None if judgement is None else judgement.effective_bits,
            started_at=started_at,
            **figures,
        )
        rows.append((row, samples))
    return rows


def _reason(state: BackendState, promise: Capabilities | None) -> str | None:
    """What is wrong with a row; of one that is right how the backend computed, and that less was asked of it than of others."""
    said = [state.reason] if state.reason else []
    if state.status in TIMED and state.checked is not None and promise is not None:
        if state.checked.remark and not said:
            said.append(state.checked.remark)
        if promise.activation_ulps > Capabilities().activation_ulps:
            said.append(f"it promises activations to within {promise.activation_ulps:g} ulps only, and was judged by that")
    return "; ".join(said) or None


def _finite(value: float) -> float:
    """NaN would be stored as nothing; an error that is no number is infinitely large."""
    return inf if np.isnan(value) else float(value)
