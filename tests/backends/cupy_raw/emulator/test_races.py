"""Unordered accesses are found under every schedule, and ordered ones under none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.deep

# kernel: blocks, threads, faults, marks of the two accesses (for each fault, or for all)
CASES = {
    "lane_to_lane": (1, 64, 2, ("left 1", "right 1")),
    "half_warps": (1, 64, 1, ("left 2", "right 2")),
    "chain": (3, 64, 4, ("left 3", "right 3")),
    "counter": (4, 32, 2, None),
    "peek": (2, 1, 1, ("left 6", "right 6")),
    "neighbours": (4, 32, 1, ("left 7", "right 7")),
    "one_writes": (1, 40, 2, ("left 8", "right 8")),
    "spin": (2, 32, 1, ("left 9", "right 9")),
}


def arguments(kernel, blocks, threads):
    flags, one = np.zeros(4, np.uint32), np.zeros(1, np.uint32)
    values = np.zeros(blocks * threads, np.int32)
    out = np.zeros(blocks * threads, np.int32)
    return {
        "lane_to_lane": [out],
        "half_warps": [out],
        "chain": [values, flags, out],
        "counter": [one, flags, out.view(np.uint32)],
        "peek": [flags, out.view(np.uint32)],
        "neighbours": [values.view(np.float32), values.size],
        "one_writes": [out, 5],
        "spin": [values, flags, out],
    }[kernel]


def find(bench, kernel, fault, schedule, detect=True):
    blocks, threads, _, _ = CASES[kernel]
    given_arguments = arguments(kernel, blocks, threads)
    cooperative = kernel in ("chain", "counter", "peek", "spin")
    findings = bench.find(
        "races", kernel, blocks, threads, given_arguments, shared_bytes=4 * threads, sizes={"fault": fault},
        cooperative=cooperative, schedule=schedule, detect=detect,
    )  # fmt: skip
    return findings, given_arguments


@pytest.mark.parametrize("kernel", CASES)
def test_ordered_accesses_are_no_race(bench, kernel):
    for schedule in bench.schedules:
        for detect in (True, False):
            findings, given_arguments = find(bench, kernel, 0, schedule, detect)
            assert findings == ()
            if kernel == "counter":
                assert given_arguments[0][0] == 128
            if kernel == "chain":
                assert (given_arguments[2][:64] == np.arange(64)[::-1]).all()


@pytest.mark.parametrize(("kernel", "fault"), [(kernel, fault) for kernel in CASES for fault in range(1, CASES[kernel][2] + 1)])
def test_unordered_accesses_are_a_race(bench, kernel, fault):
    marks = CASES[kernel][3] or {1: ("left 4", "right 4"), 2: ("left 5", "right 5")}[fault]
    lines = {bench.line("races", mark) for mark in marks}
    for schedule in bench.schedules:
        races = [finding for finding in find(bench, kernel, fault, schedule)[0] if finding.kind == "race"]
        assert lines in [{race.line, race.other.line} for race in races], (schedule, races)
        for race in races:
            assert race.file == race.other.file == "races.cu"
            assert (race.block, race.thread) != (race.other.block, race.other.thread)


def test_a_race_names_the_other_access(bench):
    """The read, where the write comes first, which depends on the schedule, or the other way round."""
    lines = [bench.line("races", mark) for mark in ("left 8", "right 8")]
    firsts = set()
    for schedule in bench.schedules:
        races = find(bench, "one_writes", 2, schedule)[0]
        assert races
        for race in races:
            firsts.add(race.other.is_write)
            read, write = (race, race.other) if race.other.is_write else (race.other, race)
            assert [read.line, write.line] == lines
            assert write.thread == write.step
            assert read.block == write.block
            assert f"step {race.step}" in str(race)
            assert f"races.cu:{race.other.line}" in str(race)
    assert firsts == {True, False}


def test_a_thread_that_polls_for_ever_is_found(bench):
    for schedule in bench.schedules:
        blocks, threads, _, _ = CASES["spin"]
        (finding,) = bench.find(
            "races", "spin", blocks, threads, arguments("spin", blocks, threads), sizes={"fault": 2}, cooperative=True,
            schedule=schedule,
        )  # fmt: skip
        assert finding.kind == "deadlock"
        assert finding.line == bench.line("races", "endless")


def test_a_thread_that_polls_by_atomics_continues(bench):
    for schedule in bench.schedules:
        for detect in (True, False):
            out = np.zeros((3, 40), np.uint32)
            how = {"cooperative": True, "schedule": schedule, "detect": detect}
            assert bench.find("races", "spin_by_atomics", 3, 40, [np.zeros(1, np.uint32), out], sizes={"fault": 0}, **how) == ()
            assert out.all()
        findings = bench.find(
            "races", "spin_by_atomics", 3, 40, [np.zeros(1, np.uint32), out], sizes={"fault": 1}, **how | {"detect": True}
        )
        assert [(f.kind, f.line) for f in findings] == [("out of bounds", bench.line("races", "not there"))]


def test_the_same_schedule_gives_the_same_run(bench):
    @given(bench.drawn_schedules(), st.sampled_from(sorted(CASES)))
    @settings(max_examples=25, deadline=None)
    def check(schedule, kernel):
        first, _ = find(bench, kernel, 1, schedule)
        switches = bench.emulator.switches
        second, _ = find(bench, kernel, 1, schedule)
        assert first == second
        assert bench.emulator.switches == switches

    check()
