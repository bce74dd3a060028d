"""Accesses outside of arrays, through null, of what was never written, and beyond a stack."""

import gc

import ml_dtypes
import numpy as np
import pytest

pytestmark = pytest.mark.deep

ROWS, COLUMNS = 3, 8
OUTSIDE = {
    1: "index 8 on axis 1",
    2: "index -1 on axis 0",
    3: "index -1 on axis 1",
    6: "index 3 on axis 0",
    7: None,
    10: "index 4294967295",
}


def rows(bench, fault, detect=True, schedule=None):
    values = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    copy = bench.empty((ROWS, COLUMNS), np.float32, detect)
    options = {"schedule": schedule} if schedule else {}
    findings = bench.find(
        "accesses", "copy_rows", ROWS, COLUMNS, [values, copy, None, ROWS, COLUMNS], shared_bytes=64, sizes={"fault": fault},
        detect=detect, **options,
    )  # fmt: skip
    return values, copy, findings


def assert_place(bench, finding, kind, mark):
    assert (finding.kind, finding.file, finding.line) == (kind, "accesses.cu", bench.line("accesses", mark))
    assert (finding.block, finding.thread, finding.step) == ((1, 0, 0), 5, 3)
    assert finding.kernel == "copy_rows"


@pytest.mark.parametrize("detect", [True, False])
def test_a_right_kernel_has_no_findings(bench, detect):
    for schedule in bench.schedules:
        values, copy, findings = rows(bench, 0, detect, schedule)
        assert findings == ()
        np.testing.assert_array_equal(copy, values)


@pytest.mark.parametrize("fault", [1, 2, 3, 6, 10])
def test_an_index_outside_of_an_axis(bench, fault):
    for schedule in bench.schedules:
        values, copy, findings = rows(bench, fault, schedule=schedule)
        (finding,) = findings
        assert_place(bench, finding, "out of bounds", f"fault {fault}")
        assert OUTSIDE[fault] in finding.message
        expected = values.copy()
        if fault != 6:
            expected[1, 5] = 0  # what was read outside
        np.testing.assert_array_equal(copy, expected)


@pytest.mark.parametrize("fault", [4, 9])
def test_a_view_that_is_larger_than_what_is_allocated(bench, fault):
    _, _, (finding,) = rows(bench, fault)
    assert_place(bench, finding, "out of bounds", f"fault {fault}")
    assert "allocated for from_data" in finding.message


def test_a_null_array(bench):
    _, _, (finding,) = rows(bench, 5)
    assert_place(bench, finding, "null array", "fault 5")


def test_shared_memory_that_was_never_written(bench):
    _, _, (finding,) = rows(bench, 7)
    assert_place(bench, finding, "never written", "fault 7")


def test_an_index_outside_of_shared_memory(bench):
    _, _, (finding,) = rows(bench, 11)
    assert_place(bench, finding, "out of bounds", "fault 11")


def test_a_neighbour_that_is_read_too_early_is_unwritten_or_a_race(bench):
    for schedule in bench.schedules:
        _, _, findings = rows(bench, 8, schedule=schedule)
        assert {finding.kind for finding in findings} <= {"never written", "race"}
        assert "race" in {finding.kind for finding in findings}


def every_second(bench, data, start, end, write):
    total = np.zeros(1, np.float32)
    return bench.find("accesses", "every_second", 1, 1, [data, total, data.size, start, end, write], sizes={"fault": 0}), total[
        0
    ]


def test_what_was_written_is_remembered_from_launch_to_launch(bench):
    data = bench.empty(10, np.float32, True)
    assert every_second(bench, data, 0, 1, 1) == ((), 1)
    assert every_second(bench, data, 2, 3, 0) == ((), 1)
    findings, _ = every_second(bench, data, 0, 10, 0)
    assert [(finding.kind, finding.count) for finding in findings] == [("never written", 5)]
    assert "element 1 of data" in findings[0].message


def test_a_part_of_an_allocation_is_watched_with_it(bench):
    data = bench.empty((4, 5), np.float32, True)
    assert every_second(bench, data[2], 0, 1, 1)[0] == ()
    assert every_second(bench, data[1], 5, 6, 0)[0][0].kind == "out of bounds"
    assert "element 11 of" in every_second(bench, data[2], 0, 2, 0)[0][0].message


def test_a_part_outlives_the_array_that_it_was_taken_from(bench):
    part = bench.empty((4, 5), np.float32, True)[1]
    gc.collect()
    assert every_second(bench, part, 1, 2, 0)[0][0].kind == "never written"


def test_memory_that_is_used_again_is_not_taken_for_what_was_there(bench):
    for _ in range(50):
        data = bench.empty(10, np.float32, True)
        assert every_second(bench, data, 0, 1, 0)[0][0].kind == "never written"
        assert every_second(bench, data, 0, 1, 1)[0] == ()
        del data
        assert every_second(bench, np.zeros(10, np.float32), 0, 10, 0) == ((), 0)


def test_what_the_host_wrote_was_written(bench):
    data = bench.empty(10, np.float32, True)
    data[:5] = 2
    assert every_second(bench, data, 0, 5, 0) == ((), 10)
    assert every_second(bench, data, 0, 6, 0)[0][0].kind == "never written"


def test_an_array_from_elsewhere_counts_as_written(bench):
    assert every_second(bench, np.ones(10, np.float32), 0, 10, 0) == ((), 10)
    assert every_second(bench, np.ones((3, 10), np.float32)[1], 0, 10, 0) == ((), 10)


def test_empty_is_not_a_number_and_aligned(bench):
    for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
        array = bench.empty((3, 5), dtype, False)
        assert array.shape == (3, 5)
        assert array.dtype == dtype
        assert np.isnan(array.astype(np.float64)).all()
        assert array.ctypes.data % 256 == 0
    assert bench.empty((0, 3), np.float32, True).size == 0


def test_shared_memory_of_a_block_before_is_not_written(bench):
    for schedule in bench.schedules:
        total = np.zeros(50, np.float32)
        findings = bench.find(
            "accesses", "leftovers", 50, 1, [total, 50], shared_bytes=4, sizes={"fault": 0}, schedule=schedule
        )
        assert [(finding.kind, finding.count) for finding in findings] == [("never written", 49)]


@pytest.mark.parametrize("fault", [0, 1, 2])
def test_shared_memory_that_is_carved_twice(bench, fault):
    for schedule in bench.schedules:
        out = np.zeros((2, 48), np.float32)
        findings = bench.find(
            "accesses", "carved_twice", 1, 48, [out, 48], shared_bytes=192, sizes={"fault": fault}, schedule=schedule
        )
        assert {finding.kind for finding in findings} <= {"race", "never written"}
        assert ("race" in {finding.kind for finding in findings}) == bool(fault)
        if not fault:
            assert (out == np.arange(48)[::-1]).all()


@pytest.mark.parametrize("detect", [True, False])
def test_more_shared_memory_than_the_launch_has(bench, detect):
    out = np.zeros(1, np.float32)
    options = {"sizes": {"fault": 0}, "detect": detect}
    assert bench.find("accesses", "carve", 1, 1, [out, 16], shared_bytes=64, **options) == ()
    (finding,) = bench.find("accesses", "carve", 1, 1, [out, 17], shared_bytes=64, **options)
    assert finding.kind == "shared memory"
    assert "68 bytes" in finding.message


@pytest.mark.parametrize("detect", [True, False])
def test_a_stack_that_overflows(bench, detect):
    out = np.zeros((2, 64), np.float32)
    assert bench.find("accesses", "recursion", 2, 64, [out, 20], sizes={"fault": 0}, detect=detect) == ()
    for schedule in bench.schedules:
        (finding,) = bench.find(
            "accesses", "recursion", 2, 64, [out, 44], sizes={"fault": 0}, detect=detect, schedule=schedule
        )  # fmt: skip
        assert finding.kind == "stack"


def test_the_same_finding_is_counted_not_repeated(bench):
    _, copy, findings = rows(bench, 0)
    findings = bench.find(
        "accesses", "every_second", 1, 1, [copy, np.zeros(1, np.float32), 12, -1000, 0, 0], sizes={"fault": 0}
    )
    assert [(finding.kind, finding.count) for finding in findings] == [("out of bounds", 1000)]
    assert str(findings[0]).endswith("(1000 times)")
