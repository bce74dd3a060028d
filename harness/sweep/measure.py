"""One cell, all backends: construct, check, sample, check again, and make a row of each."""

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
from ..problems.call_inputs import call_key, draw_batch, draw_weights
from ..records import TIMED, Cell, RawSample, Row, now
from ..worker.client import WorkerClient, WorkerError
from . import cost, row_status
from .control import CONTROL_CELL
from .messages import CheckRequest, Memory, Open
from .peaks import Peaks
from .phase_timer import PhaseTimer
from .row_status import BackendState
from .sampling import MIN_CHECKED_ROWS, OutputCheck, Participant, Sampler

MIN_CHECKS, MAX_CHECKS = 2, 8
"""Blocks whose outputs are checked."""
CHECKS_SHARE = 0.15
"""The share of the budget that checking more than MIN_CHECKS blocks may cost."""
FULL_CHECK_FLOPS = 1e9
"""Up to this cost of a call the first check covers every batch row; above, MIN_CHECKED_ROWS, the first and the last."""
RING_FACTOR = 1.25
"""A ring of inputs, or what is read to flush a cache, is so many times as large as the cache."""
MAX_RING = 32
CONTROL_RING = 2
MIN_LIMIT_S = 60.0
SLOWEST_FLOPS = 1e9
"""A call may take MIN_LIMIT_S and as long as its operations take at this rate; then it is a TIMEOUT."""


@dataclass(frozen=True)
class CellContext:
    """What all cells of a run have in common."""

    run_id: str
    machine_id: str
    threads: int
    budget_s: float
    baseline: str
    weights_file: str | None
    load_weights: Callable[[Cell, int], LSTMWeights]
    """(cell, seed) -> the weights that results are checked against."""
    peaks: Peaks
    """The best measured on this machine so far."""
    measure_peaks: Callable[[], Peaks]
    """Measures them again; returns the best so far."""
    timer: PhaseTimer


def drawn_weights(cell: Cell, seed: int) -> LSTMWeights:
    """The weights of a cell without a weights file."""
    return draw_weights(cell.spec, seed)


@dataclass(frozen=True, eq=False)
class CellResult:
    """What was measured in one cell."""

    results: list[tuple[Row, list[RawSample]]]
    """One row a backend, with its samples."""
    controls: dict[str, list[RawSample]]
    """The samples of the control workload, by the kind of device."""
    participants: dict[str, Participant]
    """How each backend was sampled."""


def measure_cell(
    cell: Cell,
    seed: int,
    weights_seed: int,
    clients: Mapping[str, WorkerClient | WorkerError],
    promises: Mapping[str, Capabilities],
    context: CellContext,
    controls: Mapping[str, WorkerClient] = MappingProxyType({}),
) -> CellResult:
    """Measure one cell. What goes wrong in a worker ends in its row; only errors of the parent itself are raised.

    seed: draws the inputs, the order of turns and what is checked; no worker learns it. clients: by backend; a WorkerError is
    that of a backend that cannot run. controls: by the kind of device.
    """
    return _CellMeasurement(cell, seed, weights_seed, clients, promises, context).run(controls)


class _CellMeasurement:
    """The state of one cell while it is measured."""

    def __init__(
        self,
        cell: Cell,
        seed: int,
        weights_seed: int,
        clients: Mapping[str, WorkerClient | WorkerError],
        promises: Mapping[str, Capabilities],
        context: CellContext,
    ) -> None:
        self._cell, self._seed, self._weights_seed = cell, seed, weights_seed
        self._promises, self._context, self._timer = promises, context, context.timer
        self._rng = np.random.default_rng([seed, 2])
        self._started_at, self._overhead_before = now(), context.timer.overhead()
        self._limit_s = MIN_LIMIT_S + cost.flops(cell) / SLOWEST_FLOPS
        self._states = {backend: BackendState() for backend in clients}
        self._running: dict[str, WorkerClient] = {}
        for backend, client in clients.items():
            if isinstance(client, WorkerError):
                self._states[backend].fail(client.status, client.reason)
            else:
                self._running[backend] = client
        self._check_s = 0.0  # what one check costs
        self._ring_size = _ring_size(cell, {promises[backend].device for backend in self._running})

    def run(self, controls: Mapping[str, WorkerClient]) -> CellResult:
        """Measure it."""
        self._open()
        fixed = [c for device, client in controls.items() if (c := _open_control(device, client, self._timer)) is not None]
        if self._running:
            rows = _first_rows(self._cell, self._rng)
            weights = self._first_check(CheckRequest(rows, int(self._rng.integers(2**31)), call_key(self._seed, 0)))
            self._sample(fixed, weights)
        timed, peaks = self._timed()
        with self._timer.measure("statistics"):
            results = self._rows(timed, peaks)
        sampled = {backend: state.participant for backend, state in self._states.items() if state.participant is not None}
        return CellResult(results, {c.device_kind: c.samples for c in fixed if c.samples}, sampled)

    def _open(self) -> None:
        with self._timer.measure("setup"):
            for backend, client in list(self._running.items()):
                flush_bytes = _flush_bytes(self._cell, self._promises[backend].device, self._ring_size)
                message = Open(self._cell, self._weights_seed, self._context.weights_file, self._ring_size, flush_bytes)
                self._states[backend].opened = self._ask(backend, client, message)
                if self._states[backend].opened is None:
                    del self._running[backend]

    def _ask(self, backend: str, client: WorkerClient, message: Any) -> Any:
        try:
            return client.ask(message, self._limit_s)
        except WorkerError as error:
            self._states[backend].fail(error.status, error.reason)
            return None

    def _first_check(self, request: CheckRequest) -> LSTMWeights:
        with self._timer.measure("setup"):
            weights = self._context.load_weights(self._cell, self._weights_seed)
            for backend, client in self._running.items():
                self._states[backend].checked = self._ask(backend, client, request)
        before = self._timer.seconds("checks")
        with self._timer.measure("checks"):
            results = {b: s.checked.results for b, s in self._states.items() if s.checked is not None}
            self._judge(weights, OutputCheck(0, request.rows, request.projection_seed, results), first=True)
        self._check_s = self._timer.seconds("checks") - before
        return weights

    def _sample(self, controls: list[Participant], weights: LSTMWeights) -> None:
        """Sample the backends that were right, and check the outputs that were fetched."""
        for backend, client in self._running.items():
            state = self._states[backend]
            if state.status == "PASSED" and state.checked is not None:
                device = self._promises[backend].device
                state.participant = Participant(backend, client, device, self._limit_s, self._seed, self._ring_size)
        participants = [state.participant for state in self._states.values() if state.participant is not None]
        sampler = Sampler(self._cell, participants, self._context.threads, self._rng, self._timer, controls)
        check_s, budget_s = self._check_s, self._context.budget_s
        checks = int(np.clip(CHECKS_SHARE * budget_s / max(check_s, 1e-9), MIN_CHECKS, MAX_CHECKS))
        overhead_s = self._timer.overhead() - self._overhead_before + checks * check_s
        sampler.run(budget_s, checks, overhead_s, self._ring_size)
        for participant in participants:
            if participant.failure is not None:
                self._states[participant.backend].fail(participant.failure.status, participant.failure.reason)
        with self._timer.measure("checks"):
            for check in sampler.output_checks:
                self._judge(weights, check, first=False)
        for backend, client in self._running.items():
            if client.alive:
                client.resume()
                if self._states[backend].status == "PASSED":
                    self._states[backend].memory = self._ask(backend, client, Memory())

    def _judge(self, weights: LSTMWeights, check: OutputCheck, *, first: bool) -> None:
        """Compare what backends returned from one call with what is expected; a wrong one gets no time."""
        judged = {b: r for b, r in check.results.items() if self._states[b].status == "PASSED"}
        if not judged:
            return
        cell = self._cell
        # gradients of weights are sums over the whole batch; everything else depends on its row alone
        needed = np.arange(cell.batch_size) if cell.training else check.rows
        inputs = draw_batch(cell, self._seed, self._ring_size, check.call, needed)
        expected = Expected(cell.spec, weights, inputs, rows=check.rows, seed=check.projection_seed)
        for backend, results in judged.items():
            judgement = expected.judge(results, activation_ulps=self._promises[backend].activation_ulps)
            state = self._states[backend]
            worst = state.judgement
            state.max_error = max(state.max_error, _finite(judgement.max_error))
            if worst is None or judgement.error_bound_ratio > worst.error_bound_ratio or not judgement.agrees:
                state.judgement = judgement
            if not judgement.agrees:
                where = "" if first else f"in timed call {check.call}: "
                state.fail("WRONG", where + judgement.reason)

    def _timed(self) -> tuple[dict[str, row_status.Timed], Peaks]:
        """The times of the backends that were right, and the peaks; measured again where a time is above them."""
        with self._timer.measure("statistics"):
            timed = {
                backend: row_status.timed(state)
                for backend, state in self._states.items()
                if state.participant is not None and state.status == "PASSED"
            }
        peaks = self._context.peaks
        if any(row_status.too_fast(self._cell, self._states[b], interval, peaks) for b, (interval, _) in timed.items()):
            with self._timer.measure("peaks"):  # the machine may have been busy when they were measured
                peaks = self._context.measure_peaks()
        return timed, peaks

    def _rows(self, timed: Mapping[str, row_status.Timed], peaks: Peaks) -> list[tuple[Row, list[RawSample]]]:
        for backend, (interval, _) in timed.items():
            reason = row_status.why_suspect(self._cell, self._states[backend], interval, peaks, self._context.threads)
            if reason is not None:
                self._states[backend].fail("SUSPECT", reason)
        return [self._row(backend, state, timed, peaks) for backend, state in self._states.items()]

    def _row(
        self, backend: str, state: BackendState, timed: Mapping[str, row_status.Timed], peaks: Peaks
    ) -> tuple[Row, list[RawSample]]:
        cell, context = self._cell, self._context
        samples = [] if state.participant is None else state.participant.samples
        figures: dict[str, Any] = {}
        if backend in timed and state.status in TIMED:
            interval, used = timed[backend]
            if state.status == "PASSED" and not interval.half_width <= row_status.UNSTABLE:
                state.fail("UNSTABLE", row_status.unstable_reason(interval, len(used)))
            baseline = context.baseline
            figures = row_status.figures(interval, used, timed.get(baseline), self._states[baseline].status)
        opened, checked, memory, judgement = state.opened, state.checked, state.memory, state.judgement
        device = None if opened is None else opened.device
        row = Row(
            run_id=context.run_id,
            backend=backend,
            device=device,
            machine_id=context.machine_id,
            cell=cell,
            threads=context.threads,
            seed=self._seed,
            status=state.status,
            reason=_reason(state, self._promises.get(backend)),
            samples=sum(sample.used for sample in samples),
            setup_s=None if opened is None or checked is None else opened.setup_s + checked.first_call_s,
            transfer_s=None if checked is None else checked.transfer_s,
            peak_memory_bytes=None if memory is None else memory.host,
            peak_device_memory_bytes=None if memory is None else memory.device,
            flops=cost.flops(cell),
            bytes=cost.io_bytes(cell) + cost.weight_bytes(cell),
            floor_s=row_status.floor(cell, device, self._promises[backend].device, peaks) if device else None,
            max_error=None if judgement is None else state.max_error,
            error_bound_ratio=None if judgement is None else _finite(judgement.error_bound_ratio),
            effective_bits=None if judgement is None else judgement.effective_bits,
            started_at=self._started_at,
            **figures,
        )
        return row, samples


def _open_control(device: str, client: WorkerClient, timer: PhaseTimer) -> Participant | None:
    """The control workload, ready to be sampled; None where it cannot run. Its inputs are the same in every run."""
    with timer.measure("control"):
        try:
            client.ask(Open(CONTROL_CELL, 0, None, CONTROL_RING, 0), MIN_LIMIT_S)
        except WorkerError:
            return None
    return Participant(f"control:{device}", client, device, MIN_LIMIT_S, 0, CONTROL_RING, drawn=0)


def _ring_size(cell: Cell, kinds: set[str]) -> int:
    """How many input sets take turns: on a CPU more than its cache holds, up to MAX_RING; else 2."""
    if cell.cache == "warm" or "cpu" not in kinds:
        return 2
    sets = ceil(RING_FACTOR * cache_bytes("cpu") / cost.io_bytes(cell)) + 1
    return sets if sets <= MAX_RING else 2


def _flush_bytes(cell: Cell, kind: str, ring_size: int) -> int:
    """How many bytes are read to flush the cache before each sample; 0 where the ring is larger than the cache."""
    if cell.cache == "warm" or (kind == "cpu" and ring_size > 2):
        return 0
    return int(RING_FACTOR * cache_bytes(kind))


def _first_rows(cell: Cell, rng: np.random.Generator) -> Any:
    """The batch rows of the first check."""
    batch = cell.batch_size
    if cost.flops(cell) <= FULL_CHECK_FLOPS or batch <= MIN_CHECKED_ROWS:
        return np.arange(batch)
    return np.unique([0, batch - 1, *rng.permutation(batch)[:MIN_CHECKED_ROWS]])


def _reason(state: BackendState, promise: Capabilities | None) -> str | None:
    """What is wrong with a row; of a right one, the backend's remark, and whether it was judged less strictly than others."""
    parts = [state.reason] if state.reason else []
    if state.status in TIMED and state.checked is not None and promise is not None:
        if state.checked.remark and not parts:
            parts.append(state.checked.remark)
        if promise.activation_ulps > Capabilities().activation_ulps:
            parts.append(f"judged by its promise of activations to within {promise.activation_ulps:g} ulps")
    return "; ".join(parts) or None


def _finite(value: float) -> float:
    """NaN as infinity: NaN would be stored as a missing value."""
    return inf if np.isnan(value) else float(value)
