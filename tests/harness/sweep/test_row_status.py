"""Which times a row may state: the clocks, the peaks, the cores and the intervals that it is judged by."""

import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lstm_parity.backends import Capabilities
from lstm_parity.harness.machine.host import cpu_count, cpu_name
from lstm_parity.harness.records import TIMED, Cell, RawSample
from lstm_parity.harness.statistics import Interval, median_interval
from lstm_parity.harness.sweep import cost, row_status, sampling
from lstm_parity.harness.sweep.measure import _reason
from lstm_parity.harness.sweep.messages import Checked, Opened, Sample
from lstm_parity.harness.sweep.row_status import (
    BackendState,
    clocks_differ,
    deferred_work,
    figures,
    floor,
    timed,
    too_fast,
    too_many_cores,
)
from lstm_parity.harness.sweep.sampling import Participant
from lstm_parity.harness.worker.client import WorkerError

CELL = Cell.of(input_size=3, hidden_size=4, sequence_length=3, batch_size=6)
GEMM, COPY = (cpu_name(), "gemm:float32"), (cpu_name(), "copy")


@pytest.fixture(autouse=True)
def clock(parent_clock):
    """The clock of parent and workers, on which each reading is 0.1 ms later than the one before: a sample takes that long."""
    parent_clock.tick_s = 1e-4
    return parent_clock


@pytest.fixture
def measured(measure):
    """Rows by backend, and the samples of each."""

    def rows(clients, budget_s=0.03, **how):
        found = measure(CELL, clients, budget_s=budget_s, **how).results
        return {row.backend: row for row, _ in found}, {row.backend: samples for row, samples in found}

    return rows


@pytest.fixture
def worker(in_process_worker, clock):
    return partial(in_process_worker, clock=clock)


@pytest.fixture
def on_samples(clock):
    """on_samples(change, delay_s): a worker says something else of a sample, and answers that late."""

    def tampering(change, delay_s=0.0):
        def tamper(message, answer):
            if not isinstance(answer, Sample):
                return answer
            clock.now += delay_s
            return change(answer)

        return tamper

    return tampering


def state_of(samples=(), status="PASSED", **known):
    """The state of a backend with these samples."""
    backend = Participant("a", None, "cpu", 60.0, 0, 2, **known)
    backend.samples = list(samples)
    return BackendState(status=status, participant=backend)


def test_a_row_says_that_a_backend_promises_less():
    loose, said = Capabilities(activation_ulps=4096), "judged by its promise of activations to within 4096 ulps"
    state = BackendState(checked=Checked(None, 0.0, 0.0, "on two tiles"))
    assert _reason(BackendState(), None) is None
    assert _reason(state, Capabilities()) == "on two tiles"
    assert _reason(state, loose) == f"on two tiles; {said}"
    state.fail("UNSTABLE", "busy")
    assert _reason(state, loose) == f"busy; {said}"
    state.fail("WRONG", "off")
    assert _reason(state, loose) == "off"


def test_an_honest_worker_is_timed(measured, worker):
    rows, samples = measured({"a": worker(), "b": worker()})
    assert {row.status for row in rows.values()} <= set(TIMED)
    assert rows["a"].samples == len(samples["a"]) >= 2
    assert rows["a"].floor_s is None  # no peaks are known


def test_the_ratio_is_computed_block_by_block():
    """Both drift by a factor of 10,000 together; within a block, one takes 3 times the other's time."""
    drift, rng = np.geomspace(1e-5, 1e-1, 40), np.random.default_rng(0)

    def samples(factor, blocks):
        return [RawSample(b, 0, 1, factor * drift[b], None, None, True) for b in rng.permutation(blocks)]

    ours, theirs = samples(3.0, 40), samples(1.0, 35)
    baseline = (median_interval([s.seconds for s in theirs]), theirs)
    found = figures(median_interval([s.seconds for s in ours]), ours, baseline, "PASSED")
    assert found["ratio_to_baseline"] == pytest.approx(3)
    assert (found["ratio_ci_low"], found["ratio_ci_high"]) == pytest.approx((3, 3))
    assert "ratio_to_baseline" not in figures(median_interval([1.0] * 9), ours, baseline, "WRONG")


def test_faster_than_the_peak_rate_is_suspect(measured, worker):
    row = measured({"a": worker()}, peaks={GEMM: 1.0})[0]["a"]
    assert (row.status, row.median_s) == ("SUSPECT", None)
    assert row.reason.endswith("GFLOP/s, but the peak measured here is 1e-09")


def test_the_peaks_are_measured_again_before_a_backend_is_suspected(measured, worker):
    row = measured({"a": worker()}, peaks={GEMM: 1.0}, again={GEMM: 1e15})[0]["a"]
    assert row.status in TIMED
    assert 0 < row.floor_s < row.median_s


def test_faster_than_memory_is_suspect_where_no_cache_can_hold_x_and_y(measured, worker, monkeypatch):
    monkeypatch.setattr(row_status, "cache_bytes", lambda device: 10)
    row = measured({"a": worker()}, peaks={COPY: 1.0})[0]["a"]
    assert row.status == "SUSPECT"
    assert row.reason.endswith("GB/s of x and y, but the peak measured here is 1e-09")
    monkeypatch.setattr(row_status, "cache_bytes", lambda device: cost.io_bytes(CELL))
    assert measured({"a": worker()}, peaks={COPY: 1.0})[0]["a"].status in TIMED


@pytest.mark.parametrize(("times_faster", "suspect"), [(1.05, False), (1.09, False), (1.11, True), (2.0, True), (0.5, False)])
def test_the_margin_of_the_peaks_is_ten_per_cent(times_faster, suspect, monkeypatch):
    state = BackendState(opened=Opened(0.0, cpu_name()))
    seconds = cost.flops(CELL) / 1e9 / times_faster
    assert bool(too_fast(CELL, state, Interval(seconds, seconds, seconds), {GEMM: 1e9})) == suspect
    monkeypatch.setattr(row_status, "cache_bytes", lambda device: 0)
    seconds = cost.io_bytes(CELL) / 1e9 / times_faster
    assert bool(too_fast(CELL, state, Interval(seconds, seconds, seconds), {COPY: 1e9})) == suspect
    assert too_fast(CELL, state, Interval(1e-12, 1e-12, 1e-12), {}) is None  # a peak that was not measured judges nothing


@pytest.mark.parametrize("seconds", [0.0, float("inf"), float("nan")])
def test_a_time_that_is_no_positive_number_is_suspect(seconds):
    assert (
        too_fast(CELL, BackendState(), Interval(seconds, seconds, seconds), {}) == f"the worker reports {seconds:.3g} s a call"
    )


CLAIMS = {
    "a tenth of the time": (lambda s: replace(s, wall_s=s.wall_s / 10), 0.02, "the parent's clock"),
    "an answer after hidden work": (lambda s: s, 0.05, "the parent's clock"),
    "more than the parent waited": (lambda s: replace(s, wall_s=s.wall_s + 1), 0.0, "longer than the parent waited"),
    "work on another stream": (lambda s: replace(s, device_s=s.wall_s, wall_s=10 * s.wall_s), 0.0, "on the stream, but"),
    "deferred work": (lambda s: replace(s, handover_s=0.001), 0.0, "deferred until"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_time_that_clocks_contradict_is_suspect(measured, worker, on_samples, name):
    change, delay_s, reason = CLAIMS[name]
    rows, _ = measured({"honest": worker(), "a": worker(on_samples(change, delay_s))}, budget_s=0.3)
    assert rows["a"].status == "SUSPECT", rows["a"].reason
    assert reason in rows["a"].reason
    assert rows["a"].median_s is None
    assert rows["honest"].status in TIMED, rows["honest"].reason


def test_some_late_answers_are_believed(measured, worker, clock):
    rng = np.random.default_rng(0)

    def tamper(message, answer):
        clock.now += 0.01 * (isinstance(answer, Sample) and rng.random() < 0.6)
        return answer

    row = measured({"a": worker(tamper)}, budget_s=0.3)[0]["a"]
    assert row.status in TIMED, row.reason


def test_a_wide_interval_is_unstable(measured, worker, on_samples):
    rng = np.random.default_rng(0)
    scale = on_samples(lambda s: replace(s, wall_s=s.wall_s * rng.choice([0.01, 1.0])))
    row = measured({"a": worker(scale)}, budget_s=0.1)[0]["a"]
    assert row.status == "UNSTABLE"
    assert "the median is known to" in row.reason
    assert row.median_s is not None
    assert row.ci_high_s > row.ci_low_s


def test_too_few_samples_are_unstable_and_have_no_interval(measured, worker, on_samples):
    rows, samples = measured({"a": worker(on_samples(lambda s: s, 0.0015))}, budget_s=0.001)
    assert rows["a"].status == "UNSTABLE"
    assert f"only {len(samples['a'])} samples within the budget, too few" in rows["a"].reason
    assert rows["a"].median_s is not None
    assert rows["a"].ci_low_s is None


def test_a_cell_that_others_disturb_throughout_is_unstable(measured, worker, clock, monkeypatch):
    monkeypatch.setattr(sampling, "busy_seconds", lambda: time.process_time() + cpu_count() * clock.now)
    rows, samples = measured({"a": worker()}, budget_s=0.26)
    assert rows["a"].status == "UNSTABLE"
    assert "background load of" in rows["a"].reason
    assert rows["a"].median_s == pytest.approx(np.median([s.seconds for s in samples["a"]]))


def test_a_worker_that_could_not_be_started_has_its_row(measured, worker):
    rows, _ = measured({"a": worker(), "b": WorkerError("UNAVAILABLE", "not here")})
    assert (rows["b"].status, rows["b"].reason, rows["b"].samples) == ("UNAVAILABLE", "not here", 0)
    rows, _ = measured({"a": WorkerError("UNAVAILABLE", "not here"), "b": worker()})
    assert rows["b"].median_s is not None
    assert rows["b"].ratio_to_baseline is None


def test_the_control_takes_turns_and_is_stored_apart(measure, worker):
    found = measure(CELL, {"a": worker(), "b": worker()}, budget_s=0.03, controls={"cpu": worker()})
    assert [row.backend for row, _ in found.results] == ["a", "b"]
    control, samples = found.controls["cpu"], found.results[0][1]
    assert len(control) >= 2
    places = {(s.block, s.position) for s in [*control, *samples, *found.results[1][1]]}
    assert len(places) == len(control) + 2 * len(samples)  # no two have the same turn
    assert {s.position for s in control} <= {0, 1, 2}


@pytest.mark.parametrize(
    ("sizes", "exchanges"),
    [
        ({}, 50),
        ({"proj_size": 512}, 50),
        ({"num_layers": 3}, 52),
        ({"num_layers": 3, "bidirectional": True}, 150),
        ({"hidden_size": 128}, None),
    ],
)
def test_the_floor_counts_exchanges_where_u_fits_no_single_multiprocessor(sizes, exchanges):
    cell = Cell.of(**{"hidden_size": 1024, "sequence_length": 50, **sizes})
    found = floor(cell, "gpu", "cuda", {("gpu", "grid_exchange"): 1e-6})
    assert found == (None if exchanges is None else pytest.approx(exchanges * 1e-6))
    assert floor(cell, "another", "cuda", {("gpu", "grid_exchange"): 1e-6}) is None


@pytest.mark.parametrize("load", [0.0, 1.5])
@pytest.mark.parametrize("status", ["PASSED", "UNSTABLE"])
def test_a_few_late_answers_are_believed_of_a_row_that_is_unstable_only(load, status):
    """20 ms of work each, answered 30 ms late: a backend may make the load itself, so load alone excuses nothing."""
    state = state_of([RawSample(b, 0, 1, 0.02, None, load, True) for b in range(4)], status)
    state.participant.clock_gaps, state.participant.handovers = [0.03] * 4, [0.0] * 4
    assert bool(clocks_differ(state)) == (status == "PASSED")


@pytest.mark.parametrize(("status", "suspect"), [("PASSED", True), ("UNSTABLE", False)])
def test_a_few_slow_reads_are_believed_of_a_row_that_is_unstable_only(status, suspect):
    state = state_of([RawSample(b, 0, 1, 0.02, None, 1.5, True) for b in range(4)], status)
    state.participant.handovers = [0.01] * 4
    assert bool(deferred_work(CELL, state)) == suspect


@pytest.mark.parametrize(
    ("count", "used", "status"), [(4, 3, "UNSTABLE"), (4, 4, "PASSED"), (8, 5, "UNSTABLE"), (8, 6, "PASSED")]
)
def test_too_few_undisturbed_samples_make_a_row_unstable(count, used, status):
    state = state_of([RawSample(b, 0, 1, 0.02, None, 1.5 * (b >= used), b < used) for b in range(count)])
    _, taken = timed(state)
    assert (state.status, len(taken)) == (status, used if status == "PASSED" else count)


@pytest.mark.parametrize(
    ("threads", "cpu_s", "said"),
    [
        (1, 1.12, None),
        (1, 1.2, "it kept 1.2 cores busy, and all backends were given 1 thread"),
        (2, 2.21, None),
        (2, 2.4, "it kept 2.4 cores busy, and all backends were given 2 threads"),
    ],
)
def test_more_cores_than_given_are_suspect(threads, cpu_s, said):
    assert too_many_cores(state_of(runnable_s=1.0, cpu_s=cpu_s), threads) == said
