"""What a launch takes and refuses, how blocks come and go, and that schedules differ."""

import pickle
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import lstm_parity
from lstm_parity.backends.cupy_raw.emulator.compiler import CompileError
from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.emulator.findings import EmulationError
from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule

pytestmark = pytest.mark.deep

ROOT = Path(lstm_parity.__file__).resolve().parents[1]


def turns(bench, blocks, threads, steps, **options):
    out = np.zeros((blocks, threads), np.uint32)
    bench.launch(
        "synchronised", "turns", blocks, threads, [out, steps], shared_bytes=8 * threads, **{"sizes": {"without": 0}, **options}
    )
    return out


def expected_turns(threads, steps):
    values = np.arange(threads)
    for _ in range(steps):
        values = values.sum() % 1000 + np.arange(threads)
    return values


@pytest.mark.parametrize("threads", [1, 31, 32, 33, 100, 1024])
def test_blocks_of_any_size(bench, threads):
    for schedule in bench.schedules[:: 2 if threads > 100 else 1]:
        for detect in (True, False):
            out = turns(bench, 3, threads, 3, schedule=schedule, detect=detect)
            assert (out == expected_turns(threads, 3)).all()


def test_a_grid_of_thousands_of_blocks(bench):
    for schedule in bench.schedules[::2]:  # one of each kind
        out = turns(bench, 3000, 33, 2, schedule=schedule)
        assert (out == expected_turns(33, 2)).all()
    assert bench.emulator.switches >= 3000 * 33 * 3


def test_a_grid_of_three_axes_and_clusters(bench):
    places = np.zeros((4 * 3 * 5, 7), np.uint32)
    for schedule in bench.schedules:
        for cluster in (1, 2, 4):
            places[...] = 99
            bench.emulator.launch(
                "places", "float32", file="launches", grid=(4, 3, 5), threads=2, sizes={}, arguments=[places],
                cluster=cluster, schedule=schedule,
            )  # fmt: skip
            x, y, z = np.meshgrid(range(4), range(3), range(5), indexing="ij")
            rows = places[(x + 4 * (y + 3 * z)).ravel()]
            ones = np.ones(60)
            wanted = [
                x.ravel(),
                y.ravel(),
                z.ravel(),
                ones * 4 * 100 + 3 * 10 + 5,
                x.ravel() % cluster,
                ones * cluster,
                ones * 2,
            ]
            np.testing.assert_array_equal(rows, np.stack(wanted, 1))


@pytest.mark.parametrize("without", [0, 1, 2, 3, 4])
def test_blocks_that_exchange_by_flags(bench, without):
    blocks, threads, steps = 5, 40, 4
    outs = set()
    for schedule in bench.schedules:
        parts, out = bench.empty((2, blocks, threads), np.uint32, True), np.zeros((blocks, threads), np.uint32)
        findings = bench.find(
            "synchronised", "exchange", blocks, threads, [parts, out, np.zeros(blocks, np.uint32), steps],
            sizes={"without": without}, cooperative=True, schedule=schedule,
        )  # fmt: skip
        assert ("race" in {finding.kind for finding in findings}) == bool(without)
        outs.add(out.tobytes())
    assert without or len(outs) == 1


@pytest.mark.parametrize("without", [0, 1])
def test_blocks_that_exchange_by_barriers_of_the_grid(bench, without):
    for schedule in bench.schedules:
        parts, out = bench.empty((2, 5, 40), np.uint32, True), np.zeros((5, 40), np.uint32)
        findings = bench.find(
            "synchronised", "across_grid", 5, 40, [parts, out, np.zeros(1, np.uint32), 4], sizes={"without": without},
            cooperative=True, schedule=schedule,
        )  # fmt: skip
        assert ("race" in {finding.kind for finding in findings}) == bool(without)


def test_schedules_take_different_orders(bench):
    orders = {}
    for schedule in [*bench.schedules, Schedule("random", 6)]:
        order = np.zeros((6, 64), np.int32)
        bench.launch("launches", "order", 6, 64, [order, np.zeros(1, np.uint32)], cooperative=True, schedule=schedule)
        assert sorted(order.ravel()) == list(range(6 * 64))
        orders[schedule] = order
    np.testing.assert_array_equal(orders[Schedule("in-order")].ravel(), np.arange(6 * 64))
    np.testing.assert_array_equal(orders[Schedule("reversed")].ravel(), np.arange(6 * 64)[::-1])
    assert orders[Schedule("block-ahead", 5)][5].max() == 63
    assert orders[Schedule("warp-behind", 5)][2, 32:].min() == 5 * 64 + 32
    assert len({order.tobytes() for schedule, order in orders.items() if schedule.kind == "random"}) == 3


def test_a_schedule_is_one_of_five():
    with pytest.raises(ValueError, match="kind must be one of in-order, reversed"):
        Schedule("sideways")
    with pytest.raises(ValueError, match="seed"):
        Schedule("random", -1)
    assert len(KINDS) == 5


def refused(bench, words, **changes):
    launch = {
        "kernel": "turns", "precision": "float32", "file": "synchronised", "grid": (1, 1, 1), "threads": 32,
        "shared_bytes": 256, "sizes": {"without": 0}, "arguments": [np.zeros(32, np.uint32), 1],
    }  # fmt: skip
    with pytest.raises(ValueError, match=words):
        bench.emulator.launch(**{**launch, **changes})


def test_what_is_no_launch_is_refused(bench):
    read_only = np.zeros(32, np.uint32)
    read_only.flags.writeable = False
    refused(bench, "there is no kernel file", file="absent")
    refused(bench, "exports no kernel 'absent'", kernel="absent")
    refused(bench, "precision must be one of float64", precision="float8")
    refused(bench, "has no size hidden", sizes={"without": 0, "hidden": 3})
    refused(bench, "needs the size without", sizes={})
    refused(bench, "takes 2 arguments, not 1", arguments=[read_only])
    refused(bench, "argument 2 of turns must be an int", arguments=[np.zeros(32, np.uint32), None])
    refused(bench, "argument 2 of turns must be an int", arguments=[np.zeros(32, np.uint32), 2**31])
    refused(bench, "argument 1 of turns must be an array", arguments=[7, 1])
    refused(bench, "4 bytes an element, not float64", arguments=[np.zeros(32), 1])
    refused(bench, "read-only", arguments=[read_only, 1])
    refused(bench, "no grid", grid=(0, 1, 1))
    refused(bench, "no grid", threads=1025)
    refused(bench, "no grid", threads=0)
    refused(bench, "no whole number of clusters", grid=(3, 1, 1), cluster=2)
    refused(bench, "shared_bytes", shared_bytes=-1)
    assert (turns(bench, 1, 32, 1) == expected_turns(32, 1)).all()


def test_a_kernel_that_does_not_compile(tmp_path, bench):
    (tmp_path / "wrong.cu").write_text('#include "device.cuh"\nextern "C" __global__ void wrong() { nothing(); }\n')
    with pytest.raises(CompileError, match=r"wrong\.cu does not compile"):
        Emulator(tmp_path, tmp_path / "cache").launch("wrong", "float32", grid=(1, 1, 1), threads=1, sizes={}, arguments=[])
    (tmp_path / "carried.cu").write_text(
        '#include "device.cuh"\n'
        'extern "C" __global__ void carried(float* x) { auto v = array(x, 1)(0); float y = v; array(x, 1)(0) = y; }\n'
    )
    with pytest.raises(CompileError):  # `auto` would carry a reference on where a GPU has a copy
        Emulator(tmp_path, tmp_path / "cache").launch(
            "carried", "float32", grid=(1, 1, 1), threads=1, sizes={}, arguments=[None]
        )


def test_a_kernel_with_large_local_arrays_is_refused(tmp_path, bench):
    (tmp_path / "big.cu").write_text(
        '#include "device.cuh"\n'
        'extern "C" __global__ void big(int* x, int n) { volatile int room[8000]; room[n] = 1; x[0] = room[n]; }\n'
    )
    with pytest.raises(CompileError, match="frame"):
        Emulator(tmp_path, tmp_path / "cache").launch(
            "big", "float32", grid=(1, 1, 1), threads=1, sizes={}, arguments=[None, 0]
        )


def test_a_thread_that_polls_by_plain_reads_is_ended_and_reported(tmp_path, bench):
    (tmp_path / "poll.cu").write_text(
        '#include "device.cuh"\n'
        'extern "C" __global__ void poll(unsigned* flag_data) {\n'
        "    auto flag = array(flag_data, 1);\n"
        "    if (threadIdx.x == 0) while (flag(0) == 0) {}\n"
        "    if (threadIdx.x == 1) store_release(flag, 0, 1);\n"
        "}\nEXPORT_KERNEL(poll)\n"
    )
    with pytest.raises(EmulationError, match=r"endless loop at poll.cu:4, .*50 million accesses without a barrier"):
        Emulator(tmp_path, tmp_path / "cache").launch(
            "poll", "float32", grid=(1, 1, 1), threads=2, sizes={}, arguments=[np.zeros(1, np.uint32)]
        )


def test_a_source_that_changes_is_compiled_anew(tmp_path, bench):
    for value in range(3):
        (tmp_path / "told.cuh").write_text(f"constexpr int told = {value};\n")
        (tmp_path / "tell.cu").write_text(
            '#include "device.cuh"\n#include "told.cuh"\n'
            'extern "C" __global__ void tell(int* x) { array(x, 1)(0) = told; }\nEXPORT_KERNEL(tell)\n'
        )
        x = np.zeros(1, np.int32)
        for _ in range(2):
            emulator = Emulator(tmp_path, tmp_path / "cache")
            emulator.launch("tell", "float32", grid=(1, 1, 1), threads=1, sizes={}, arguments=[x])
            assert x[0] == value


def test_views_with_offsets_and_read_only_inputs(bench):
    whole = np.arange(60, dtype=np.float32).reshape(3, 20)
    whole.flags.writeable = False
    out = np.zeros(1, np.float32)
    bench.launch("launches", "add_up", 1, 1, [whole[1, 5:], out, 15])
    assert out[0] == whole[1, 5:].sum()
    bench.launch("launches", "add_up", 1, 1, [np.broadcast_to(np.float32(2), (1,)), out, 1])
    assert out[0] == 2
    (finding,) = bench.find("launches", "add_up", 1, 1, [whole[2], out, 21])
    assert finding.kind == "out of bounds"
    assert bench.find("launches", "add_up", 1, 1, [None, out, 0]) == ()


def test_arrays_that_overlap_are_one_memory(bench):
    memory = np.zeros(64, np.float32)
    for schedule in bench.schedules:
        assert bench.find("launches", "shift", 1, 32, [memory[:32], memory[32:]], schedule=schedule) == ()
        kinds = {f.kind for f in bench.find("launches", "shift", 1, 32, [memory[:32], memory[1:33]], schedule=schedule)}
        assert kinds == {"race"}


def test_threads_launch_one_at_a_time(bench):
    failures = []

    def work(seed):
        try:
            for _ in range(20):
                out = turns(bench, 2, 40, 3, schedule=Schedule("random", seed))
                assert (out == expected_turns(40, 3)).all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_findings_survive_pickling_and_read_well(bench):
    (finding,) = bench.find("launches", "add_up", 1, 1, [np.zeros(3, np.float32), np.zeros(1, np.float32), 4])
    error = EmulationError([finding])
    assert pickle.loads(pickle.dumps(error)).findings == (finding,)
    line = bench.line("launches", "one after the other")
    assert str(error).startswith(f"add_up: out of bounds at launches.cu:{line}, block (0, 0, 0), thread 0: access outside")
    assert "\n" not in str(error)


def test_132_blocks_of_256_threads_fit(bench):
    script = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
import numpy as np
from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
emulator = Emulator(Path({str(Path(__file__).parent / "kernels")!r}))
for detect in (False, True):
    emulator.launch("grid_barriers", "float32", file="speed", grid=(132, 1, 1), threads=256, sizes={{}},
                    arguments=[np.zeros(1, np.uint32), 3], cooperative=True, detect=detect)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) * (1 if sys.platform == "darwin" else 1024) < 2e9
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
