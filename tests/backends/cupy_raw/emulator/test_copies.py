"""Asynchronous copies: what is in flight, what has arrived, and where they may go."""

import numpy as np
import pytest

pytestmark = pytest.mark.deep


def pipeline(bench, fault, schedule, detect=True):
    data = np.arange(5 * 4 * 40, dtype=np.float32).reshape(5, 160)
    out = np.zeros(40, np.float32)
    findings = bench.find(
        "asynchronous", "pipeline", 1, 40, [data, out, 5], shared_bytes=2 * 640, sizes={"fault": fault}, schedule=schedule,
        detect=detect,
    )  # fmt: skip
    return findings, out, np.roll(data.reshape(5, 40, 4).sum((0, 2)), -1)


@pytest.mark.parametrize("fault", [0, 1])
def test_what_is_waited_for_in_time_is_there(bench, fault):
    for schedule in bench.schedules:
        for detect in (True, False):
            findings, out, expected = pipeline(bench, fault, schedule, detect)
            assert findings == ()
            np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("fault", "mark"), [(2, "read"), (3, "write")])
def test_what_is_in_flight_is_not_touched(bench, fault, mark):
    for schedule in bench.schedules:
        findings, _, _ = pipeline(bench, fault, schedule)
        (finding,) = [f for f in findings if f.kind == "in flight"]
        assert (finding.line, finding.other.line) == (bench.line("asynchronous", mark), bench.line("asynchronous", "copy"))
        assert finding.other.is_write
        assert finding.step is not None


@pytest.mark.parametrize("fault", [4, 5])
def test_a_thread_that_did_not_issue_the_copy_needs_a_barrier(bench, fault):
    seen = set()
    for schedule in bench.schedules:
        kinds = {f.kind for f in pipeline(bench, fault, schedule)[0]}
        assert kinds & {"race", "in flight"}
        seen |= kinds
    assert ("race" if fault == 4 else "in flight") in seen


def test_the_source_does_not_change_before_the_wait(bench):
    for schedule in bench.schedules:
        for fault in (0, 1):
            data, out = np.arange(40, dtype=np.float32), np.zeros(40, np.float32)
            findings = bench.find(
                "asynchronous", "source", 1, 40, [data, out], shared_bytes=160, sizes={"fault": fault}, schedule=schedule
            )
            assert [(f.kind, f.line) for f in findings] == [("in flight", bench.line("asynchronous", "overwritten"))] * fault
            np.testing.assert_array_equal(out, np.arange(40) if not fault else np.full(40, 7))


MISPLACED = {
    1: ("asynchronous copy", "the source is not aligned"),
    2: ("asynchronous copy", "nor is this target"),
    3: ("out of bounds", "outside"),
    4: ("out of bounds", "over the edge"),
    5: ("asynchronous copy", "to global memory"),
}


@pytest.mark.parametrize("fault", [0, *MISPLACED])
def test_where_a_copy_may_go(bench, fault):
    data, to, out = np.arange(16, dtype=np.float32), np.zeros(16, np.float32), np.zeros(1, np.float32)
    findings = bench.find("asynchronous", "places", 1, 1, [data, to, out], shared_bytes=64, sizes={"fault": fault})
    expected = [MISPLACED[fault]] if fault else []
    assert [(f.kind, f.line) for f in findings] == [(kind, bench.line("asynchronous", mark)) for kind, mark in expected]
    assert out[0] == {0: 8, 1: 7}.get(fault, 0)


def test_a_launch_that_was_left_leaves_nothing_in_flight(bench):
    data, out = bench.empty(40, np.float32, True), np.zeros(40, np.float32)
    data[:] = 1
    for _ in range(3):
        findings = bench.find("asynchronous", "source", 1, 40, [data, out], shared_bytes=100, sizes={"fault": 0})
        assert [f.kind for f in findings] == ["shared memory"]
        assert bench.find("asynchronous", "source", 1, 40, [data, out], shared_bytes=160, sizes={"fault": 0}) == ()
