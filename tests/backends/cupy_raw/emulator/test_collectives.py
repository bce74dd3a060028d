"""Barriers that not all reach, deadlocks, warp operations, clusters."""

import numpy as np
import pytest

pytestmark = pytest.mark.deep


def barriers(bench, fault, schedule, detect):
    out, flags = np.zeros(48, np.int32), np.zeros(1, np.uint32)
    return bench.find(
        "collectives", "block_barriers", 1, 48, [out, flags], sizes={"fault": fault}, schedule=schedule, detect=detect
    )


@pytest.mark.parametrize("detect", [True, False])
def test_a_block_barrier_that_all_reach(bench, detect):
    for schedule in bench.schedules:
        assert barriers(bench, 0, schedule, detect) == ()


@pytest.mark.parametrize("detect", [True, False])
@pytest.mark.parametrize("fault", [1, 2])
def test_a_block_barrier_that_one_thread_does_not_reach(bench, fault, detect):
    here, other = bench.line("collectives", "the barrier"), bench.line("collectives", "the other barrier")
    for schedule in bench.schedules:
        (finding,) = barriers(bench, fault, schedule, detect)
        assert finding.kind == "barrier"
        assert finding.line in (here, other)
        if fault == 1:
            assert "thread 7 of the same block has ended" in finding.message
        else:
            assert f"collectives.cu:{here + other - finding.line}" in finding.message
            assert "thread 7" in finding.message


@pytest.mark.parametrize("detect", [True, False])
def test_a_thread_that_waits_elsewhere(bench, detect):
    for schedule in bench.schedules:
        (finding,) = barriers(bench, 3, schedule, detect)
        assert (finding.kind, finding.thread, finding.line) == ("deadlock", 7, bench.line("collectives", "never set"))
        assert "for flag 0 to become 1, which is 0" in finding.message
        findings = barriers(bench, 4, schedule, detect)
        assert {f.kind for f in findings} == {"warp", "barrier"}
        assert bench.line("collectives", "half a warp") in [f.line for f in findings if f.kind == "warp"]
        (finding,) = barriers(bench, 5, schedule, detect)
        assert (finding.kind, finding.line) == ("barrier", bench.line("collectives", "one alone"))


def grid_barriers(bench, fault, schedule, detect, cooperative=True, counter=0):
    counters, out = np.array([counter], np.uint32), np.zeros(5, np.int32)
    return bench.find(
        "collectives", "grid_barriers", 5, 40, [out, counters], sizes={"fault": fault}, schedule=schedule, detect=detect,
        cooperative=cooperative,
    )  # fmt: skip


@pytest.mark.parametrize("detect", [True, False])
def test_a_barrier_of_the_grid(bench, detect):
    for schedule in bench.schedules:
        assert grid_barriers(bench, 0, schedule, detect) == ()
        for fault in (1, 2):
            (finding,) = grid_barriers(bench, fault, schedule, detect)
            assert finding.kind in ("barrier", "grid barrier")  # the second: it comes to another generation than the others
            assert "block (2, 0, 0)" in finding.message or finding.block == (2, 0, 0)
        for wrong in ({"fault": 3}, {"counter": 1}, {"counter": 2**32 - 1}, {"cooperative": False}):
            (finding,) = grid_barriers(bench, **{"fault": 0, "schedule": schedule, "detect": detect, **wrong})
            assert finding.kind == "grid barrier"
            assert finding.line == bench.line("collectives", "the second" if "fault" in wrong else "the first")


@pytest.mark.parametrize("detect", [True, False])
@pytest.mark.parametrize("fault", [0, 1, 2])
def test_flags_that_wait_for_each_other(bench, fault, detect):
    for schedule in bench.schedules:
        flags = np.zeros(4, np.uint32)
        findings = bench.find(
            "collectives", "waiting", 2, 10, [flags], sizes={"fault": fault}, cooperative=True, schedule=schedule, detect=detect
        )
        assert [finding.kind for finding in findings] == ["deadlock"] * bool(fault)
        if fault:
            assert f"for flag 2 to become 5, which is {4 if fault == 2 else 0}" in findings[0].message
            assert "for flag 3 to become 1, which is 0" in findings[0].message
            assert f"collectives.cu:{bench.line('collectives', 'waits for 2')}" in findings[0].message
        else:
            assert flags.tolist() == [0, 0, 5, 1]


def test_waiting_for_a_block_that_is_not_resident_is_a_deadlock(bench):
    flags = np.zeros(4, np.uint32)
    (finding,) = bench.find("collectives", "waiting", 9, 1, [flags], sizes={"fault": 0})
    assert finding.kind == "deadlock"


FAULTS = {
    1: ("all lanes", "names lane 9, which has ended"),
    2: ("not in its own mask", "lane 9 is not in the mask"),
    3: ("from outside of the mask", "from lane 20, which is not in the mask"),
    5: ("lane 9 never comes", "lane 9"),
    6: ("a vote", "lanes must do the same"),
}


@pytest.mark.parametrize("detect", [True, False])
@pytest.mark.parametrize("fault", [0, *FAULTS])
def test_a_warp_whose_lanes_are_not_all_there(bench, fault, detect):
    for schedule in bench.schedules:
        out = np.zeros(64, np.int32)
        findings = bench.find("collectives", "shuffles", 1, 64, [out], sizes={"fault": fault}, schedule=schedule, detect=detect)
        if not fault:
            assert findings == ()
            continue
        mark, words = FAULTS[fault]
        assert {finding.kind for finding in findings} == {"warp"}
        lines = {finding.line for finding in findings}
        if fault == 5:
            assert lines & {bench.line("collectives", mark), bench.line("collectives", "all lanes")}
        elif fault == 6:
            assert lines <= {bench.line("collectives", mark), bench.line("collectives", "and a barrier")}
        else:
            assert bench.line("collectives", mark) in lines
        assert any(words in finding.message for finding in findings), findings


def test_a_warp_of_fewer_lanes(bench):
    for schedule in bench.schedules:
        for fault in (0, 1):
            out = np.zeros(40, np.int32)
            findings = bench.find("collectives", "partial_warp", 1, 40, [out], sizes={"fault": fault}, schedule=schedule)
            assert [f.line for f in findings] == [bench.line("collectives", "no such lane")] * fault, findings
            if fault:
                assert "from lane 20, which the warp does not have" in findings[0].message
                assert findings[0].count == 8
            else:
                assert out.tolist() == [3] * 32 + [36] * 8


def test_every_shuffle_and_vote(bench):
    lanes = np.arange(64)
    lane, first = lanes % 32, lanes // 32 * 32
    value = lanes * np.float32(0.5)
    bits = np.uint64(1) << (lanes % 32).astype(np.uint64)
    for schedule in bench.schedules:
        out, wide, votes = np.zeros((8, 64), np.float32), np.zeros(64), np.zeros((4, 64), np.uint32)
        assert bench.find("collectives", "all_kinds", 1, 64, [out, wide, votes], sizes={"fault": 0}, schedule=schedule) == ()
        sources = [
            first + 5,
            first + lane * 7 % 32,
            np.where(lane >= 3, lanes - 3, lanes),
            np.where(lane + 3 < 32, lanes + 3, lanes),
            lanes ^ 13,
            lanes // 8 * 8 + 3,
            np.where(lane % 8 + 3 < 8, lanes + 3, lanes),
            np.where(lane % 8 >= 3, lanes - 3, lanes),
        ]
        np.testing.assert_array_equal(out, value[np.array(sources)])
        np.testing.assert_array_equal(wide, 1.0 / ((lanes ^ 1) + 1))
        group = np.where(lane < 8, 0, np.where(lane < 20, 1, 2)) + 10 * (lanes // 32)
        for i in range(64):
            mine = group == group[i]
            assert votes[0, i] == bits[mine & (lanes % 3 == 0)].sum()
            assert votes[1, i] == (mine & (lane == 31)).any()
            assert votes[2, i] == (lane[mine] < 20).all()
            assert votes[3, i] == bits[(lanes // 32 == i // 32) & (lanes % 5 == 0)].sum()


def around(bench, fault, schedule, detect=True):
    out = np.zeros((6, 40), np.int32)
    findings = bench.find(
        "clusters", "around", 6, 40, [out, 4], shared_bytes=16 + 2 * 160, sizes={"fault": fault}, cluster=3, schedule=schedule,
        detect=detect,
    )  # fmt: skip
    return findings, out


@pytest.mark.parametrize("detect", [True, False])
def test_a_cluster_that_uses_its_neighbours_memory(bench, detect):
    for schedule in bench.schedules:
        findings, out = around(bench, 0, schedule, detect)
        assert findings == ()
        values = np.arange(3)  # they go around the cluster, one more each time that the first block takes one
        for _ in range(4):
            values = np.roll(values, -1) + (np.arange(3) == 0)
        expected = np.concatenate([values, values + 3])
        np.testing.assert_array_equal(out, np.repeat(expected[:, None], 40, 1))


@pytest.mark.parametrize("fault", [1, 2, 3, 4, 6])
def test_a_cluster_without_a_barrier(bench, fault):
    for schedule in bench.schedules:
        findings, _ = around(bench, fault, schedule)
        kinds = {finding.kind for finding in findings}
        if fault in (1, 6):
            assert "cluster" in kinds
            mark = "visit" if fault == 1 else "the neighbour"
            assert bench.line("clusters", mark) in [f.line for f in findings if f.kind == "cluster"]
        elif fault == 3:
            assert kinds == set()  # the last barrier comes after it
        else:
            assert "race" in kinds


def test_a_block_that_ends_while_a_neighbour_reads(bench):
    for schedule in bench.schedules:
        assert around(bench, 5, schedule)[0] == ()  # the other blocks meet without it, after their last visit
        findings, _ = around(bench, 7, schedule)
        assert {(f.kind, f.line) for f in findings} == {("cluster", bench.line("clusters", "late"))}
