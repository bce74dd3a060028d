"""Turns in random blocks, when sampling stops, and which times are not believed. Workers are played in this process."""

import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import lstm_parity.harness.sweep.sampling
import lstm_parity.harness.sweep.verdict
from lstm_parity.backends import Capabilities
from lstm_parity.harness.machine.gpu import GPUState
from lstm_parity.harness.machine.host import cpu_count, cpu_name
from lstm_parity.harness.records import Cell, RawSample
from lstm_parity.harness.statistics import Interval, median_interval
from lstm_parity.harness.sweep import cost
from lstm_parity.harness.sweep.ledger import Ledger
from lstm_parity.harness.sweep.measure import CellContext, _reason, drawn_weights, measure_cell
from lstm_parity.harness.sweep.messages import Checked, Fetch, Go, Opened, Prepare, Sample
from lstm_parity.harness.sweep.sampling import LEAST_BLOCKS, Contestant, Sampler
from lstm_parity.harness.sweep.server import SweepServer
from lstm_parity.harness.sweep.verdict import State, clocks_differ, floor, put_off, timed, too_fast, too_many
from lstm_parity.harness.sweep.verdict import figures as figures_of
from lstm_parity.harness.worker.client import _STATUS, WorkerError
from lstm_parity.harness.worker.messages import Failure

CELL = Cell.of(input_size=3, hidden_size=4, sequence_length=3, batch_size=6)


class Script:
    """A worker that says what times it took; it takes none."""

    cpu_seconds = 0.0

    def __init__(self, seconds, fails_at=None, device_s=None):
        self.seconds, self.fails_at, self.device_s = seconds, fails_at, device_s
        self.log, self.paused = [], False

    def ask(self, message, limit_s):
        assert not self.paused
        self.log.append(message)
        if isinstance(message, Go):
            count = sum(isinstance(m, Go) for m in self.log)
            if count == self.fails_at:
                raise WorkerError("CRASHED", "as scripted")
            seconds = self.seconds(count) if callable(self.seconds) else self.seconds
            return Sample(seconds, self.device_s)
        return "answer"

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False


def sampled(clients, budget_s=0.1, audits=3, overhead_s=0.0, seed=0, kind="cpu", threads=1):
    contestants = [Contestant(name, client, kind, 60.0, 0, ring_size=2) for name, client in clients.items()]
    sampler = Sampler(CELL, contestants, threads, np.random.default_rng(seed), Ledger())
    start = time.perf_counter()
    sampler.run(budget_s, audits, overhead_s, ring_size=2)
    return sampler, {c.backend: c for c in contestants}, time.perf_counter() - start


@pytest.fixture
def quiet(monkeypatch):
    """Others' load is not known."""
    monkeypatch.setattr(lstm_parity.harness.sweep.sampling, "busy_seconds", lambda: None)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_hold_each_backend_once_in_random_order(quiet, seed):
    _, found, _ = sampled({name: Script(0.01) for name in "abc"}, overhead_s=1e9, budget_s=1.0, seed=seed)
    blocks = {}
    for name, contestant in found.items():
        for sample in contestant.samples:
            blocks.setdefault(sample.block, {})[sample.position] = name
    assert list(blocks) == list(range(len(blocks)))
    assert all(sorted(block) == [0, 1, 2] and len(set(block.values())) == 3 for block in blocks.values())
    orders = Counter("".join(block[p] for p in range(3)) for block in blocks.values())
    assert len(blocks) >= 60
    assert set(orders) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert max(orders.values()) < len(blocks) / 2, seed


def test_all_but_the_one_that_is_timed_are_held_still(quiet):
    clients = {name: Script(0.01) for name in "abc"}
    now = []

    class Watched(Script):
        def ask(self, message, limit_s):
            if isinstance(message, Go):
                now.append(sum(not client.paused for client in [*clients.values(), self]))
            return super().ask(message, limit_s)

    clients["d"] = Watched(0.01)
    clients.pop("c")
    sampled(clients)
    assert set(now) == {2}  # itself, counted twice: nobody else


def test_it_stops_when_every_median_is_known_and_the_overhead_repaid(quiet):
    _, found, _ = sampled({"a": Script(0.01), "b": Script(0.02)}, budget_s=20)
    assert {len(c.samples) for c in found.values()} <= {LEAST_BLOCKS, LEAST_BLOCKS + 1}


def test_it_goes_on_while_one_median_is_not_known(quiet):
    rng = np.random.default_rng(0)
    _, found, seconds = sampled({"a": Script(0.01), "b": Script(lambda _: rng.uniform(0.001, 1))}, budget_s=0.1)
    assert len(found["a"].samples) == len(found["b"].samples) > 3 * LEAST_BLOCKS
    assert 0.1 <= seconds < 1


def test_it_goes_on_while_the_overhead_is_not_repaid(quiet):
    _, found, seconds = sampled({"a": Script(0.01)}, overhead_s=1e9, budget_s=0.1)
    assert len(found["a"].samples) > 3 * LEAST_BLOCKS
    assert 0.1 <= seconds < 1


def test_a_budget_that_is_spent_leaves_two_blocks_and_a_check(quiet):
    class Slow(Script):
        def ask(self, message, limit_s):
            time.sleep(0.01)
            return super().ask(message, limit_s)

    sampler, found, _ = sampled({"a": Slow(0.01)}, budget_s=0.001)
    assert len(found["a"].samples) in (2, 3)
    assert len(sampler.audits) >= 1


def test_one_that_fails_leaves_the_others_alone(quiet):
    _, found, _ = sampled({"a": Script(0.01), "b": Script(0.01, fails_at=5), "c": Script(0.01)}, budget_s=5)
    assert found["b"].failure.status == "CRASHED"
    assert len(found["b"].samples) == 2  # two warm it up, the fifth failed
    assert len(found["a"].samples) == len(found["c"].samples) >= LEAST_BLOCKS


def test_short_calls_are_timed_several_at_a_time(quiet):
    _, found, _ = sampled({"a": Script(1e-6), "b": Script(1e-3), "c": Script(0.0)}, budget_s=0.05)
    assert {s.calls for s in found["a"].samples} == {5}  # 50 times 0.1 microseconds
    assert {s.calls for s in found["b"].samples} == {1}
    assert {s.calls for s in found["c"].samples} <= {1000, 1001}


@pytest.mark.parametrize("seed", range(5))
def test_audits_are_drawn_anew_and_ask_for_at_least_four_rows(quiet, seed):
    script = Script(0.01)
    sampler, _, _ = sampled({"a": script}, overhead_s=1e9, budget_s=0.5, seed=seed)
    fetched = [m.rows.tolist() for m in script.log if isinstance(m, Fetch)]
    assert len(sampler.audits) == 3 <= len(fetched)
    for audit in sampler.audits:
        rows = audit.rows.tolist()
        assert audit.results == {"a": "answer"}
        assert rows == sorted(set(rows))
        assert rows in fetched
        assert 4 <= len(rows) <= 5
        assert audit.call < 2 or (audit.call // 2 - 1) % CELL.batch_size in rows  # the row that was drawn anew for this call
    prepared = [m for m in script.log if isinstance(m, Prepare)]
    calls = [call for m in prepared for call in range(m.first, m.first + m.calls)]
    assert calls == list(range(1, len(calls) + 1))  # every call number once: every call its own inputs
    assert sampler.audits[-1].call == calls[-1]


@pytest.mark.parametrize("audits", [2, 5])
def test_every_block_is_checked_with_the_same_chance(quiet, audits):
    """Which of some hundred blocks are checked, the last of them in any case; Kolmogorov and Smirnov's test against uniform."""
    places = []
    for seed in range(60 // (audits - 1)):
        sampler, found, _ = sampled({"a": Script(0.01)}, audits=audits, overhead_s=1e9, budget_s=0.06, seed=seed)
        count = len(found["a"].samples)
        assert len(sampler.audits) == min(audits, count)  # a collection of garbage may take all of the budget
        assert sampler.audits[-1].call == found["a"].calls_made - 1
        places += [(audit.call - 3) / (count - 1) for audit in sampler.audits[:-1]]  # two calls were to warm up
    steps = np.arange(len(places) + 1) / len(places)
    places.sort()
    furthest = max(np.abs(np.array(places) - steps[:-1]).max(), np.abs(np.array(places) - steps[1:]).max())
    assert furthest < 1.95 / len(places) ** 0.5, places  # one time in a thousand by chance, for these seeds never


def others_keep(monkeypatch, cores, until_s=float("inf")):
    """Others keep that many cores busy, from now to `until_s` seconds from now."""
    start = time.perf_counter()
    busy = lambda: time.process_time() + cores * min(time.perf_counter() - start, until_s)  # noqa: E731
    monkeypatch.setattr(lstm_parity.harness.sweep.sampling, "busy_seconds", busy)


def test_disturbed_samples_do_not_count_and_are_made_up_for(monkeypatch):
    others_keep(monkeypatch, cpu_count(), until_s=0.6)
    sampler, found, seconds = sampled({"a": Script(0.01)}, overhead_s=1e9, budget_s=0.7)
    used = [s.used for s in found["a"].samples]
    assert not any(used[:10])
    assert all(used[-10:])
    assert sampler.disturbed_s == pytest.approx(0.6, abs=0.3)
    assert seconds == pytest.approx(0.7 + sampler.disturbed_s, abs=0.2)
    assert found["a"].samples[0].foreign_load == pytest.approx(cpu_count(), rel=0.2)


def test_a_machine_that_is_always_busy_does_not_hold_a_cell_for_ever(monkeypatch):
    others_keep(monkeypatch, cpu_count())
    _, found, seconds = sampled({"a": Script(0.01)}, overhead_s=1e9, budget_s=0.6)
    assert not any(s.used for s in found["a"].samples)
    assert seconds < 3 * 0.6


def test_load_that_finds_a_core_of_its_own_does_not_disturb(monkeypatch):
    if cpu_count() < 2:
        pytest.skip("one core only")
    others_keep(monkeypatch, 0.5)
    _, found, _ = sampled({"a": Script(0.01)}, overhead_s=1e9, budget_s=0.4, threads=1)
    assert all(s.used for s in found["a"].samples)
    _, found, _ = sampled({"a": Script(0.01)}, overhead_s=1e9, budget_s=0.4, threads=cpu_count())
    assert not all(s.used for s in found["a"].samples)


class Local:
    """A worker in this process, some of whose answers are changed: tamper(message, answer) -> answer."""

    alive, cpu_seconds = True, 0.0

    def __init__(self, tamper=lambda message, answer: answer):
        self._server, self._tamper = SweepServer("numpy"), tamper

    def ask(self, message, limit_s):
        answer = self._tamper(message, self._server.answer(message))
        if isinstance(answer, Failure):
            raise WorkerError(_STATUS[answer.kind], answer.reason)
        return answer

    def pause(self):
        pass

    def resume(self):
        pass


def said(change, delay_s=0.0):
    """Tampers with what a sample took; delay_s: then answers late."""

    def tamper(message, answer):
        if not isinstance(answer, Sample):
            return answer
        time.sleep(delay_s)
        return change(answer)

    return tamper


def measured(clients, peaks=None, again=None, budget_s=0.2, cell=CELL, seed=1):
    """Rows by backend, and the samples of each."""
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
        ledger=Ledger(),
    )
    capabilities = Capabilities(precisions=frozenset({"float32"}), gradients=True)
    found = measure_cell(cell, seed, 0, clients, dict.fromkeys(clients, capabilities), context).results
    return {row.backend: row for row, _ in found}, {row.backend: samples for row, samples in found}


def test_a_promise_that_asks_for_less_stands_in_the_row():
    loose, said = Capabilities(activation_ulps=4096), "it promises activations to within 4096 ulps only, and was judged by that"
    state = State(checked=Checked(None, 0.0, 0.0, "on two tiles"))
    assert _reason(State(), None) is None
    assert _reason(state, Capabilities()) == "on two tiles"
    assert _reason(state, loose) == f"on two tiles; {said}"
    state.fail("UNSTABLE", "busy")
    assert _reason(state, loose) == f"busy; {said}"
    state.fail("WRONG", "off")
    assert _reason(state, loose) == "off"


def test_an_honest_worker_has_its_time(quiet):
    rows, samples = measured({"a": Local(), "b": Local()})
    assert {row.status for row in rows.values()} <= {"PASSED", "UNSTABLE"}
    assert rows["a"].samples == len(samples["a"]) >= 2
    assert rows["a"].floor_s is None  # no peaks are known


def test_the_ratio_is_computed_block_by_block():
    """Both drift by a factor of 10,000 together; within a block, one takes 3 times the other's time."""
    drift = np.geomspace(1e-5, 1e-1, 40)
    rng = np.random.default_rng(0)

    def samples(factor, blocks):
        return [RawSample(b, 0, 1, factor * drift[b], None, None, True) for b in rng.permutation(blocks)]

    ours, theirs = samples(3.0, 40), samples(1.0, 35)
    baseline = (median_interval([s.seconds for s in theirs]), theirs)
    figures = figures_of(median_interval([s.seconds for s in ours]), ours, baseline, "PASSED")
    assert figures["ratio_to_baseline"] == pytest.approx(3)
    assert (figures["ratio_ci_low"], figures["ratio_ci_high"]) == pytest.approx((3, 3))
    assert "ratio_to_baseline" not in figures_of(median_interval([1.0] * 9), ours, baseline, "WRONG")


GEMM, COPY = (cpu_name(), "gemm:float32"), (cpu_name(), "copy")


def test_faster_than_the_machine_is_suspect(quiet):
    rows, _ = measured({"a": Local()}, peaks={GEMM: 1.0})
    assert rows["a"].status == "SUSPECT"
    assert rows["a"].median_s is None
    assert rows["a"].reason.endswith("GFLOP/s, but the best measured here is 1e-09")


def test_the_peaks_are_measured_again_before_a_backend_is_suspected(quiet):
    rows, _ = measured({"a": Local()}, peaks={GEMM: 1.0}, again={GEMM: 1e15})
    assert rows["a"].status in ("PASSED", "UNSTABLE")
    assert 0 < rows["a"].floor_s < rows["a"].median_s


def test_faster_than_memory_is_suspect_where_no_cache_can_hold_x_and_y(quiet, monkeypatch):
    monkeypatch.setattr(lstm_parity.harness.sweep.verdict, "cache_bytes", lambda device: 10)
    rows, _ = measured({"a": Local()}, peaks={COPY: 1.0})
    assert rows["a"].status == "SUSPECT"
    assert rows["a"].reason.endswith("GB/s of x and y, but the best copy measured here is 1e-09")
    monkeypatch.setattr(lstm_parity.harness.sweep.verdict, "cache_bytes", lambda device: cost.io_bytes(CELL))
    assert measured({"a": Local()}, peaks={COPY: 1.0})[0]["a"].status in ("PASSED", "UNSTABLE")


@pytest.mark.parametrize(("times_faster", "suspect"), [(1.05, False), (1.09, False), (1.11, True), (2.0, True), (0.5, False)])
def test_the_margin_of_the_peaks_is_ten_per_cent(times_faster, suspect, monkeypatch):
    state = State(opened=Opened(0.0, cpu_name()))
    seconds = cost.flops(CELL) / 1e9 / times_faster
    assert bool(too_fast(CELL, state, Interval(seconds, seconds, seconds), {GEMM: 1e9})) == suspect
    monkeypatch.setattr(lstm_parity.harness.sweep.verdict, "cache_bytes", lambda device: 0)
    seconds = cost.io_bytes(CELL) / 1e9 / times_faster
    assert bool(too_fast(CELL, state, Interval(seconds, seconds, seconds), {COPY: 1e9})) == suspect
    assert too_fast(CELL, state, Interval(1e-12, 1e-12, 1e-12), {}) is None  # nothing is judged by a peak nobody measured


LIES = {
    "a tenth of the time": (lambda s: replace(s, wall_s=s.wall_s / 10), 0.02, "the parent's clock"),
    "an answer after hidden work": (lambda s: s, 0.05, "the parent's clock"),
    "more than the parent waited": (lambda s: replace(s, wall_s=s.wall_s + 1), 0.0, "longer than the parent waited"),
    "work on another stream": (lambda s: replace(s, device_s=s.wall_s / 10, wall_s=s.wall_s), 0.0, "on the stream, but"),
    "work put off": (lambda s: replace(s, read_s=0.001), 0.002, "put off until"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_time_that_clocks_contradict_is_suspect(quiet, name):
    change, delay_s, reason = LIES[name]
    cell = replace(CELL, sequence_length=40)  # a millisecond or more
    rows, _ = measured({"honest": Local(), "a": Local(said(change, delay_s))}, cell=cell)
    assert rows["a"].status == "SUSPECT", rows["a"].reason
    assert reason in rows["a"].reason
    assert rows["a"].median_s is None
    assert rows["honest"].status in ("PASSED", "UNSTABLE"), rows["honest"].reason


def test_some_late_answers_on_a_busy_machine_are_no_lie(quiet):
    rng = np.random.default_rng(0)

    def tamper(message, answer):
        if isinstance(answer, Sample) and rng.random() < 0.6:
            time.sleep(0.01)
        return answer

    rows, _ = measured({"a": Local(tamper)}, budget_s=0.5)
    assert rows["a"].status in ("PASSED", "UNSTABLE"), rows["a"].reason


def test_a_wide_interval_is_unstable_and_too_few_samples_have_none(quiet):
    rng = np.random.default_rng(0)

    def tamper(message, answer):
        if isinstance(answer, Sample):
            return replace(answer, wall_s=answer.wall_s * rng.choice([0.01, 1.0]))
        return answer

    rows, _ = measured({"a": Local(tamper)}, budget_s=0.1)
    assert rows["a"].status == "UNSTABLE"
    assert "the median is known to" in rows["a"].reason
    assert rows["a"].median_s is not None
    assert rows["a"].ci_high_s > rows["a"].ci_low_s
    rows, samples = measured({"a": Local(said(lambda s: s, 0.0015))}, budget_s=0.001)
    assert rows["a"].status == "UNSTABLE"
    assert f"{len(samples['a'])} samples within the budget are too few" in rows["a"].reason
    assert rows["a"].median_s is not None
    assert rows["a"].ci_low_s is None


def test_a_cell_that_others_disturb_throughout_is_unstable(monkeypatch):
    others_keep(monkeypatch, cpu_count())
    rows, samples = measured({"a": Local()}, budget_s=0.6)
    assert rows["a"].status == "UNSTABLE"
    assert "cores busy all the while" in rows["a"].reason
    assert rows["a"].median_s == pytest.approx(np.median([s.seconds for s in samples["a"]]))


def test_a_client_that_could_not_be_started_has_its_row(quiet):
    rows, _ = measured({"a": Local(), "b": WorkerError("UNAVAILABLE", "not here")})
    assert (rows["b"].status, rows["b"].reason, rows["b"].samples) == ("UNAVAILABLE", "not here", 0)
    rows, _ = measured({"a": WorkerError("UNAVAILABLE", "not here"), "b": Local()})
    assert rows["b"].median_s is not None
    assert rows["b"].ratio_to_baseline is None


def test_the_control_takes_turns_and_is_stored_apart(quiet):
    cell = replace(CELL, sequence_length=40)
    context = CellContext("run", "machine", 1, 0.3, "a", None, drawn_weights, {}, dict, Ledger())
    clients = {"a": Local(), "b": Local()}
    found = measure_cell(cell, 1, 0, clients, dict.fromkeys(clients, Capabilities()), context, {"cpu": Local()})
    assert [row.backend for row, _ in found.results] == ["a", "b"]
    control, samples = found.controls["cpu"], found.results[0][1]
    assert len(control) >= 2
    places = {(s.block, s.position) for s in [*control, *samples, *found.results[1][1]]}
    assert len(places) == len(control) + 2 * len(samples)  # nobody has another's turn
    assert {s.position for s in control} <= {0, 1, 2}


def test_the_control_takes_a_tenth_of_the_time_at_most_once_it_is_known(quiet):
    class Slow(Script):
        def ask(self, message, limit_s):
            time.sleep(0.004 if isinstance(message, Go) else 0.0)
            return super().ask(message, limit_s)

    ledger = Ledger()
    backend, control = (Contestant(n, Slow(0.004), "cpu", 60.0, 0, 2) for n in ("a", "control:cpu"))
    sampler = Sampler(CELL, [backend], 1, np.random.default_rng(0), ledger, [control])
    sampler.run(0.8, 1, 1e9, ring_size=2)
    assert LEAST_BLOCKS < len(control.samples) < len(backend.samples) / 3
    assert all(not audit.results.keys() - {"a"} for audit in sampler.audits)


def test_a_control_that_fails_leaves_the_backends_alone(quiet):
    backend = Contestant("a", Script(0.01), "cpu", 60.0, 0, 2)
    control = Contestant("control:cpu", Script(0.01, fails_at=4), "cpu", 60.0, 0, 2)
    Sampler(CELL, [backend], 1, np.random.default_rng(0), Ledger(), [control]).run(0.1, 1, 0.0, ring_size=2)
    assert len(control.samples) == 1
    assert backend.failure is None
    assert len(backend.samples) >= LEAST_BLOCKS


def test_a_block_at_a_clock_that_is_held_down_does_not_count(quiet, monkeypatch):
    states = iter(
        [GPUState(1980.0, 0)] * 5 + [GPUState(1200.0, 0)] * 3 + [GPUState(1980.0, 0x40)] * 2 + [GPUState(1965.0, 4)] * 999
    )
    monkeypatch.setattr(lstm_parity.harness.sweep.sampling, "gpu_state", lambda: next(states))
    _, found, _ = sampled({"a": Script(0.01, device_s=0.01)}, kind="cuda", overhead_s=1e9, budget_s=0.05)
    samples = found["a"].samples
    assert [s.used for s in samples[:12]] == [True] * 5 + [False] * 5 + [True] * 2
    assert [s.gpu_clock_mhz for s in samples[4:6]] == [1980.0, 1200.0]
    assert samples[8].gpu_throttle == 0x40


@pytest.mark.parametrize(("kind", "used"), [("cpu", False), ("cuda", True)])
def test_a_gpu_needs_one_core_for_itself_whatever_threads_others_get(kind, used, monkeypatch):
    monkeypatch.setattr(lstm_parity.harness.sweep.sampling, "cpu_count", lambda: 4)
    monkeypatch.setattr(lstm_parity.harness.sweep.sampling, "busy_seconds", lambda: 2 * time.perf_counter())
    monkeypatch.setattr(lstm_parity.harness.sweep.sampling, "gpu_state", lambda: None)
    _, found, _ = sampled({"a": Script(0.01, device_s=0.01)}, kind=kind, threads=4, overhead_s=1e9, budget_s=0.4)
    assert {s.used for s in found["a"].samples} == {used}


def test_exchanges_are_in_the_floor_where_one_multiprocessor_does_not_do():
    peaks = {("gpu", "grid_exchange"): 1e-6}
    assert floor(Cell.of(hidden_size=1024, sequence_length=50), "gpu", "cuda", peaks) == pytest.approx(50e-6)
    assert floor(Cell.of(hidden_size=1024, sequence_length=50, proj_size=512), "gpu", "cuda", peaks) == pytest.approx(50e-6)
    assert floor(Cell.of(hidden_size=1024, sequence_length=50, num_layers=3), "gpu", "cuda", peaks) == pytest.approx(52e-6)
    assert floor(
        Cell.of(hidden_size=1024, sequence_length=50, num_layers=3, bidirectional=True), "gpu", "cuda", peaks
    ) == pytest.approx(150e-6)
    assert floor(Cell.of(hidden_size=128, sequence_length=50), "gpu", "cuda", peaks) is None
    assert floor(Cell.of(hidden_size=1024), "another", "cuda", peaks) is None


@pytest.mark.parametrize("load", [0.0, 1.5])
@pytest.mark.parametrize("status", ["PASSED", "UNSTABLE"])
def test_a_few_late_answers_are_believed_of_a_row_that_is_unstable_for_the_load_only(quiet, load, status):
    """20 ms of work each, answered 30 ms late: a backend may make the load itself, so load alone excuses nothing."""
    state = State(status=status, contestant=Contestant("a", Script(0.0), "cpu", 60.0, 0, 2))
    state.contestant.samples = [RawSample(b, 0, 1, 0.02, None, load, True) for b in range(4)]
    state.contestant.gaps, state.contestant.reads = [0.03] * 4, [0.0] * 4
    assert bool(clocks_differ(state)) == (status == "PASSED")


@pytest.mark.parametrize(
    ("count", "used", "status"), [(4, 3, "UNSTABLE"), (4, 4, "PASSED"), (8, 5, "UNSTABLE"), (8, 6, "PASSED")]
)
def test_too_few_undisturbed_samples_are_a_row_that_is_unstable_for_the_load(count, used, status):
    state = State(contestant=Contestant("a", Script(0.0), "cpu", 60.0, 0, 2))
    state.contestant.samples = [RawSample(b, 0, 1, 0.02, None, 1.5 * (b >= used), b < used) for b in range(count)]
    _, taken = timed(state)
    assert (state.status, len(taken)) == (status, used if status == "PASSED" else count)


@pytest.mark.parametrize(("status", "suspect"), [("PASSED", True), ("UNSTABLE", False)])
def test_a_few_late_readings_are_believed_of_a_row_that_is_unstable_for_the_load_only(status, suspect):
    state = State(status=status, contestant=Contestant("a", Script(0.0), "cpu", 60.0, 0, 2))
    state.contestant.samples = [RawSample(b, 0, 1, 0.02, None, 1.5, True) for b in range(4)]
    state.contestant.reads = [0.01] * 4
    assert bool(put_off(CELL, state)) == suspect


@pytest.mark.parametrize(
    ("threads", "cpu_s", "said"),
    [
        (1, 1.12, None),
        (1, 1.2, "it kept 1.2 cores busy, and all backends were given 1 thread"),
        (2, 2.21, None),
        (2, 2.4, "it kept 2.4 cores busy, and all backends were given 2 threads"),
    ],
)
def test_more_cores_than_were_given_are_suspect(threads, cpu_s, said):
    contestant = Contestant("a", Script(0.0), "cpu", 60.0, 0, 2, awake_s=1.0, cpu_s=cpu_s)
    assert too_many(State(contestant=contestant), threads) == said


def test_cpu_time_counts_while_samples_are_taken(quiet):
    class Busy(Script):
        cpu_seconds = 7.0

        def ask(self, message, limit_s):
            time.sleep(0.002)
            self.cpu_seconds += 0.001
            return super().ask(message, limit_s)

    _, found, seconds = sampled({"a": Busy(0.01)})
    messages = 2 * len(found["a"].samples) + sum(isinstance(m, Fetch) for m in found["a"].client.log)
    assert found["a"].cpu_s == pytest.approx(0.001 * messages)
    assert 0.002 * messages < found["a"].awake_s < seconds
