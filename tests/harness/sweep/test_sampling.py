"""Randomised blocks, the stopping rule, output checks and background load, with scripted workers and a scripted clock."""

import time
from collections import Counter
from functools import partial

import numpy as np
import pytest

from lstm_parity.harness.machine.gpu import GPUState
from lstm_parity.harness.records import Cell
from lstm_parity.harness.sweep import sampling
from lstm_parity.harness.sweep.messages import Fetch, Go, Prepare, Sample
from lstm_parity.harness.sweep.phase_timer import PhaseTimer
from lstm_parity.harness.sweep.sampling import MIN_BLOCKS, Participant, Sampler
from lstm_parity.harness.worker.client import WorkerError

CELL = Cell.of(input_size=3, hidden_size=4, sequence_length=3, batch_size=6)
CORES = 2
FOREVER_S = 1e9


@pytest.fixture(autouse=True)
def clock(parent_clock, monkeypatch):
    """A clock that the workers advance, on a machine of CORES cores."""
    monkeypatch.setattr(sampling, "cpu_count", lambda: CORES)
    return parent_clock


class ScriptedWorker:
    """Says that a call took `seconds`; answering takes it `answer_s`, or `go_s` where it is asked for a sample."""

    cpu_seconds = 0.0

    def __init__(self, clock, seconds=0.01, *, fails_at=None, device_s=None, answer_s=2e-4, go_s=None):
        self.clock, self.seconds, self.fails_at, self.device_s = clock, seconds, fails_at, device_s
        self.answer_s, self.go_s = answer_s, answer_s if go_s is None else go_s
        self.log, self.paused = [], False

    def ask(self, message, limit_s):
        assert not self.paused
        self.log.append(message)
        self.clock.now += self.go_s if isinstance(message, Go) else self.answer_s
        if not isinstance(message, Go):
            return "answer"
        count = sum(isinstance(m, Go) for m in self.log)
        if count == self.fails_at:
            raise WorkerError("CRASHED", "as scripted")
        return Sample(self.seconds(count) if callable(self.seconds) else self.seconds, self.device_s)

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False


@pytest.fixture
def worker(clock):
    return partial(ScriptedWorker, clock)


@pytest.fixture
def sampled(clock):
    """Runs a sampler: itself, the backends by name, and the seconds that it took."""

    def run(workers, budget_s=0.1, checks=3, overhead_s=0.0, seed=0, kind="cpu", threads=1, controls=()):
        backends = [Participant(name, worker, kind, 60.0, 0, ring_size=2) for name, worker in workers.items()]
        sampler = Sampler(CELL, backends, threads, np.random.default_rng(seed), PhaseTimer(), controls)
        start = clock.now
        sampler.run(budget_s, checks, overhead_s, ring_size=2)
        return sampler, {b.backend: b for b in backends}, clock.now - start

    return run


def test_blocks_hold_each_backend_once_in_random_order(sampled, worker):
    _, found, _ = sampled({name: worker() for name in "abc"}, overhead_s=FOREVER_S, budget_s=0.2)
    blocks = {}
    for name, backend in found.items():
        for sample in backend.samples:
            blocks.setdefault(sample.block, {})[sample.position] = name
    assert list(blocks) == list(range(len(blocks)))
    assert all(sorted(block) == [0, 1, 2] and len(set(block.values())) == 3 for block in blocks.values())
    orders = Counter("".join(block[p] for p in range(3)) for block in blocks.values())
    assert len(blocks) >= 60
    assert set(orders) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert max(orders.values()) < len(blocks) / 2


def test_all_backends_but_the_timed_one_are_stopped(sampled, worker, clock):
    workers, running = {name: worker() for name in "ab"}, []

    class Watching(ScriptedWorker):
        def ask(self, message, limit_s):
            if isinstance(message, Go):
                running.append([name for name, other in workers.items() if not other.paused])
            return super().ask(message, limit_s)

    workers["c"] = Watching(clock)
    sampled(workers)
    assert running
    assert all(names == ["c"] for names in running)


def test_it_stops_when_every_median_is_known_and_the_overhead_repaid(sampled, worker):
    _, found, _ = sampled({"a": worker(), "b": worker(0.02)}, budget_s=20)
    assert {len(b.samples) for b in found.values()} == {MIN_BLOCKS + 1}


def test_it_continues_while_one_median_is_not_known(sampled, worker):
    rng = np.random.default_rng(0)
    _, found, seconds = sampled({"a": worker(), "b": worker(lambda _: rng.uniform(0.001, 1))}, budget_s=0.1)
    assert len(found["a"].samples) == len(found["b"].samples) > 3 * MIN_BLOCKS
    assert 0.1 <= seconds < 0.11


def test_it_continues_while_the_overhead_is_not_repaid(sampled, worker):
    _, found, seconds = sampled({"a": worker()}, overhead_s=FOREVER_S, budget_s=0.1)
    assert len(found["a"].samples) > 3 * MIN_BLOCKS
    assert 0.1 <= seconds < 0.11


def test_a_spent_budget_leaves_at_least_two_blocks_and_two_checks(sampled, worker):
    sampler, found, _ = sampled({"a": worker(answer_s=0.01)}, budget_s=0.001)
    assert len(found["a"].samples) == 3
    assert len(sampler.output_checks) >= 2


def test_a_backend_that_fails_leaves_the_others_alone(sampled, worker):
    _, found, _ = sampled({"a": worker(), "b": worker(fails_at=5), "c": worker()}, budget_s=5)
    assert found["b"].failure.status == "CRASHED"
    assert len(found["b"].samples) == 2  # the first two calls warm it up, the fifth fails
    assert len(found["a"].samples) == len(found["c"].samples) >= MIN_BLOCKS


def test_short_calls_are_timed_several_at_a_time(sampled, worker):
    _, found, _ = sampled({"a": worker(1e-6), "b": worker(1e-3), "c": worker(0.0)}, budget_s=0.05)
    assert {s.calls for s in found["a"].samples} == {5}  # 50 times 0.1 microseconds
    assert {s.calls for s in found["b"].samples} == {1}
    assert {s.calls for s in found["c"].samples} <= {1000, 1001}


@pytest.mark.parametrize("seed", range(5))
def test_checked_calls_are_random_and_at_least_four_rows_are_fetched(sampled, worker, seed):
    a = worker()
    sampler, _, _ = sampled({"a": a}, overhead_s=FOREVER_S, seed=seed)
    fetched = [m.rows.tolist() for m in a.log if isinstance(m, Fetch)]
    assert len(sampler.output_checks) == 3 <= len(fetched)
    for check in sampler.output_checks:
        rows = check.rows.tolist()
        assert check.results == {"a": "answer"}
        assert rows == sorted(set(rows))
        assert rows in fetched
        assert 4 <= len(rows) <= 5
        assert check.call < 2 or (check.call // 2 - 1) % CELL.batch_size in rows  # the row that was drawn anew for this call
    prepared = [m for m in a.log if isinstance(m, Prepare)]
    calls = [call for m in prepared for call in range(m.first, m.first + m.calls)]
    assert calls == list(range(1, len(calls) + 1))  # every call number once: every call has inputs of its own
    assert sampler.output_checks[-1].call == calls[-1]


@pytest.mark.parametrize("checks", [2, 5])
def test_every_block_is_checked_with_the_same_probability(sampled, worker, checks):
    """Which of 100 blocks are checked, besides the last: the Kolmogorov-Smirnov test against a uniform distribution."""
    places = []
    for seed in range(60 // (checks - 1)):
        sampler, found, _ = sampled({"a": worker()}, checks=checks, overhead_s=FOREVER_S, budget_s=0.04, seed=seed)
        count = len(found["a"].samples)
        assert count >= 80
        assert len(sampler.output_checks) == checks
        assert sampler.output_checks[-1].call == found["a"].calls_made - 1
        places += [(check.call - 3) / (count - 1) for check in sampler.output_checks[:-1]]  # calls 1 and 2 warm up
    steps = np.arange(len(places) + 1) / len(places)
    places.sort()
    distance = max(np.abs(np.array(places) - steps[:-1]).max(), np.abs(np.array(places) - steps[1:]).max())
    assert distance < 1.95 / len(places) ** 0.5, places  # exceeded once in a thousand by chance, for these seeds never


@pytest.fixture
def load(monkeypatch, clock):
    """load(cores, until_s): others keep that many cores busy, until that time on the sampler's clock."""

    def keep(cores, until_s=FOREVER_S):
        monkeypatch.setattr(sampling, "busy_seconds", lambda: time.process_time() + cores * min(clock.now, until_s))

    return keep


def test_disturbed_samples_do_not_count_and_are_repeated(sampled, worker, load):
    load(CORES, until_s=0.6)
    sampler, found, seconds = sampled({"a": worker(answer_s=0.001)}, overhead_s=FOREVER_S, budget_s=0.7)
    used = [s.used for s in found["a"].samples]
    assert not any(used[:200])
    assert all(used[-200:])
    assert sampler.disturbed_s == pytest.approx(0.6, abs=0.26)  # a window is disturbed as a whole
    assert seconds == pytest.approx(0.7 + sampler.disturbed_s, abs=0.02)
    assert found["a"].samples[0].foreign_load == pytest.approx(CORES, rel=0.05)


def test_a_machine_that_is_always_busy_costs_at_most_twice_the_budget(sampled, worker, load):
    load(CORES)
    _, found, seconds = sampled({"a": worker(answer_s=0.001)}, overhead_s=FOREVER_S, budget_s=0.6)
    assert not any(s.used for s in found["a"].samples)
    assert seconds == pytest.approx(1.2, abs=0.02)


@pytest.mark.parametrize(("threads", "used"), [(1, True), (CORES, False)])
def test_load_disturbs_where_it_leaves_fewer_cores_than_threads(sampled, worker, load, threads, used):
    load(0.5)
    _, found, _ = sampled({"a": worker(answer_s=0.001)}, overhead_s=FOREVER_S, budget_s=0.4, threads=threads)
    assert {s.used for s in found["a"].samples} == {used}


@pytest.mark.parametrize(("kind", "used"), [("cpu", False), ("cuda", True)])
def test_a_gpu_backend_needs_one_core_whatever_the_number_of_threads(sampled, worker, load, monkeypatch, kind, used):
    monkeypatch.setattr(sampling, "gpu_state", lambda: None)
    load(0.5)
    a = worker(device_s=0.01, answer_s=0.001)
    _, found, _ = sampled({"a": a}, kind=kind, threads=CORES, overhead_s=FOREVER_S, budget_s=0.4)
    assert {s.used for s in found["a"].samples} == {used}


def test_a_block_at_a_reduced_gpu_clock_does_not_count(sampled, worker, monkeypatch):
    states = [GPUState(1980.0, 0)] * 5 + [GPUState(1200.0, 0)] * 3 + [GPUState(1980.0, 0x40)] * 2 + [GPUState(1965.0, 4)] * 2
    read = iter(states)
    monkeypatch.setattr(sampling, "gpu_state", lambda: next(read, states[-1]))
    _, found, _ = sampled({"a": worker(device_s=0.01)}, kind="cuda", overhead_s=FOREVER_S, budget_s=0.05)
    samples = found["a"].samples
    assert [s.used for s in samples[:12]] == [True] * 5 + [False] * 5 + [True] * 2
    assert [s.gpu_clock_mhz for s in samples[4:6]] == [1980.0, 1200.0]
    assert samples[8].gpu_throttle == 0x40


def test_the_control_takes_at_most_a_tenth_of_the_time_once_its_interval_is_known(sampled, worker):
    control = Participant("control:cpu", worker(0.004, go_s=0.004), "cpu", 60.0, 0, 2)
    sampler, found, _ = sampled(
        {"a": worker(0.004, go_s=0.004)}, budget_s=0.8, checks=1, overhead_s=FOREVER_S, controls=[control]
    )
    assert MIN_BLOCKS < len(control.samples) < len(found["a"].samples) / 3
    assert all(set(check.results) == {"a"} for check in sampler.output_checks)


def test_a_control_that_fails_leaves_the_backends_alone(sampled, worker):
    control = Participant("control:cpu", worker(fails_at=4), "cpu", 60.0, 0, 2)
    _, found, _ = sampled({"a": worker()}, checks=1, controls=[control])
    assert len(control.samples) == 1
    assert found["a"].failure is None
    assert len(found["a"].samples) >= MIN_BLOCKS


def test_cpu_time_counts_while_samples_are_taken(sampled, clock):
    class Busy(ScriptedWorker):
        cpu_seconds = 7.0

        def ask(self, message, limit_s):
            self.cpu_seconds += 0.001
            return super().ask(message, limit_s)

    _, found, seconds = sampled({"a": Busy(clock, answer_s=0.002)})
    counted = 2 * len(found["a"].samples) + sum(isinstance(m, Fetch) for m in found["a"].client.log)
    assert found["a"].cpu_s == pytest.approx(0.001 * counted)
    assert found["a"].runnable_s == pytest.approx(0.002 * counted)
    assert found["a"].runnable_s < seconds
