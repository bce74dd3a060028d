"""Workers that answer in this process, one cell measured with them, and a clock that a test sets."""

from time import perf_counter

import pytest

from lstm_parity.backends import Capabilities
from lstm_parity.harness.sweep import phase_timer, sampling
from lstm_parity.harness.sweep.measure import CellContext, drawn_weights, measure_cell
from lstm_parity.harness.sweep.phase_timer import PhaseTimer
from lstm_parity.harness.sweep.server import SweepServer
from lstm_parity.harness.worker.client import _STATUS, WorkerError
from lstm_parity.harness.worker.messages import Failure


class InProcessWorker:
    """Answers what a worker process would; `tamper(message, answer)` gives what it says instead."""

    alive, cpu_seconds = True, 0.0

    def __init__(self, tamper=lambda message, answer: answer, backend="numpy", clock=perf_counter):
        self.server, self._tamper = SweepServer(backend), tamper
        self.server._clock = clock

    def ask(self, message, limit_s):
        answer = self._tamper(message, self.server.answer(message))
        if isinstance(answer, Failure):
            raise WorkerError(_STATUS[answer.kind], answer.reason)
        return answer

    def pause(self):
        pass

    def resume(self):
        pass


PROMISES = Capabilities(precisions=frozenset({"float32"}), gradients=True)


def measure_in_process(cell, clients, *, promises=None, peaks=None, again=None, budget_s=0.2, seed=1, controls=None):
    """What `measure_cell` returns. again: the peaks that a second measurement finds."""
    peaks = {} if peaks is None else peaks
    context = CellContext(
        run_id="run",
        machine_id="machine",
        threads=1,
        budget_s=budget_s,
        baseline=next(iter(clients)),
        weights_file=None,
        load_weights=drawn_weights,
        peaks=peaks,
        measure_peaks=lambda: peaks if again is None else again,
        timer=PhaseTimer(),
    )
    promises = dict.fromkeys(clients, PROMISES) | (promises or {})
    return measure_cell(cell, seed, 0, clients, promises, context, controls or {})


class Clock:
    """Seconds that pass when a test says so, and `tick_s` whenever the clock is read."""

    now, tick_s = 0.0, 0.0

    def __call__(self):
        self.now += self.tick_s
        return self.now


@pytest.fixture
def parent_clock(monkeypatch):
    """The parent's clock while a cell is sampled, on a machine whose load by others is not known."""
    clock = Clock()
    for module in (sampling, phase_timer):
        monkeypatch.setattr(module, "perf_counter", clock)
    monkeypatch.setattr(sampling, "busy_seconds", lambda: None)
    return clock


@pytest.fixture(scope="session")
def in_process_worker():
    return InProcessWorker


@pytest.fixture(scope="session")
def measure():
    return measure_in_process
