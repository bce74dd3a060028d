"""Launch plans: whatever the problem and the device, a plan that is given can be launched and covers the problem."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lstm_parity.backends import LSTMSpec, UnsupportedError
from lstm_parity.backends.cupy_raw.plan.device import DEVICES, EMULATED, Device
from lstm_parity.backends.cupy_raw.plan.launch import ceil_div, round_up
from lstm_parity.backends.cupy_raw.plan.plan import STEP_THREADS, plan
from lstm_parity.backends.cupy_raw.plan.recurrence import Recurrence
from lstm_parity.backends.cupy_raw.plan.slices import MMA_DEPTHS

DEVICES_HERE = [*DEVICES.values(), EMULATED]
PRECISIONS = ["float64", "float32", "tf32", "float16", "bfloat16"]
SIZES = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 127, 128, 192, 257, 512, 700, 1024, 1500, 4096]))


def recurrence(hidden=64, batch=8, precision="float32", steps=50, **features):
    return Recurrence.of(LSTMSpec(hidden, hidden, precision=precision, **features), steps, batch)


@st.composite
def recurrences(draw):
    hidden = draw(SIZES)
    projection = draw(st.integers(1, hidden - 1)) if hidden > 1 and draw(st.booleans()) else 0
    precision = draw(st.sampled_from(PRECISIONS))
    return recurrence(hidden, draw(SIZES), precision, bidirectional=draw(st.booleans()), proj_size=projection)


def share_of_shared_memory(r, device, direction):
    """A lower bound on the shared memory that a block needs, as a share of what it has: its weights, their products, and c."""
    tiles = r.precision in MMA_DEPTHS and r.batch >= 8
    blocks, smallest = device.multiprocessors // r.directions, math.inf
    for batch_slices in (2**n for n in range(8) if 2**n <= min(blocks, r.batch, device.max_batch_slices)):
        units, batch = ceil_div(r.hidden, blocks // batch_slices), ceil_div(r.batch, batch_slices)
        outputs = ceil_div(r.state, ceil_div(r.hidden, units)) if r.projected else units
        products = [(4 * units, r.state) if direction == "forward" else (outputs, 4 * r.hidden)]
        if r.projected:
            products.append((outputs, r.hidden) if direction == "forward" else (units, r.state))
        if tiles:
            products, batch = [(round_up(rows, 16), width) for rows, width in products], round_up(batch, 8)
        weights = sum(rows * width for rows, width in products) * r.storage_bytes
        results = (sum(rows for rows, _ in products) + units) * batch * r.real_bytes
        smallest = min(smallest, weights + results)
    return smallest / device.shared_bytes


@settings(deadline=None)
@given(recurrences(), st.sampled_from(DEVICES_HERE), st.sampled_from(["forward", "backward"]))
@example(recurrence(4096), DEVICES["sm_90a"], "forward")
def test_a_persistent_plan_fits_the_device_and_covers_the_problem_and_what_fits_is_not_refused(r, device, direction):
    share = share_of_shared_memory(r, device, direction)
    try:
        found = plan(r, device, direction, "persistent")
    except UnsupportedError:
        assert share > 0.4  # the rest: padding, sums of several parts of K, and the operand
        return
    assert share <= 1
    (launch,) = found.launches
    s = launch.sizes
    blocks = launch.grid[0] * launch.grid[1] * launch.grid[2]
    assert launch.cooperative
    assert blocks <= device.multiprocessors
    assert launch.shared_bytes <= device.shared_bytes
    assert launch.threads == s["threads"] == device.threads
    assert launch.grid[2] == r.directions
    assert (launch.grid[0] - 1) * s["units"] < r.hidden <= launch.grid[0] * s["units"]
    assert (launch.grid[1] - 1) * s["batch_slice"] < r.batch <= launch.grid[1] * s["batch_slice"]
    assert r.state <= launch.grid[0] * s["outputs"]
    assert s["batch_slice"] % s["batch_tile"] == 0
    assert s["operand_stride"] * r.storage_bytes % 16 == 0
    forward = direction == "forward"
    products = {"recurrent": (4 * s["units"], r.state) if forward else (s["outputs"], 4 * r.hidden)}
    if r.projected:
        products["projection"] = (s["outputs"], r.hidden) if forward else (s["units"], r.state)
    for name, (rows, width) in products.items():
        p = {size: s[f"{name}_{size}"] for size in ("rows", "width", "depth", "stride", "chunk", "splits", "vector")}
        assert p["width"] == width
        assert p["rows"] >= rows
        assert p["stride"] >= p["depth"] >= width
        assert s["operand_stride"] >= p["chunk"] >= 1
        assert p["splits"] >= 1
        if s["tensor_cores"]:
            depth = MMA_DEPTHS[r.precision]
            assert p["rows"] % 16 == s["batch_slice"] % 8 == p["depth"] % depth == p["chunk"] % depth == 0
        if p["vector"] > 1:
            assert p["vector"] * r.storage_bytes == 16
            assert width % p["vector"] == 0
            assert p["chunk"] % p["vector"] == 0 or p["chunk"] == p["depth"]


@settings(deadline=None)
@given(recurrences(), st.sampled_from(["forward", "backward"]))
def test_a_stepwise_plan_has_a_thread_for_each_unit_of_each_row(r, direction):
    found = plan(r, EMULATED, direction, "stepwise")
    for launch in found.launches:
        width = r.state if launch.kernel.startswith("project_") else r.hidden
        assert launch.grid[0] * STEP_THREADS >= r.batch * width > (launch.grid[0] - 1) * STEP_THREADS
        assert launch.grid[1] == r.directions


@pytest.mark.parametrize(
    ("r", "device", "reason"),
    [
        (recurrence(), Device("old", "sm_80", 100, 48 * 1024, cooperative=False), "old cannot keep all blocks"),
        (recurrence(4096), DEVICES["sm_90a"], "U \\(262144 KiB\\).*132 multiprocessors of H100 SXM"),
        (recurrence(bidirectional=True), Device("one", "sm_80", 1, 48 * 1024), "each direction needs blocks of its own"),
    ],
)
def test_what_the_persistent_kernel_cannot_take_is_done_step_by_step_and_the_plan_says_why(r, device, reason):
    for direction in ("forward", "backward"):
        found = plan(r, device, direction)
        assert found.path == "stepwise"
        assert re.search(reason, found.reason)
        with pytest.raises(UnsupportedError, match=reason):
            plan(r, device, direction, "persistent")


@pytest.mark.parametrize(
    ("hidden", "batch", "precision", "path"),
    [
        (512, 16, "float32", "persistent"),
        (1024, 64, "float32", "stepwise"),
        (512, 64, "float16", "persistent"),
        (1024, 64, "float16", "stepwise"),
    ],
)
def test_what_cublas_multiplies_faster_is_done_step_by_step(hidden, batch, precision, path):
    r = recurrence(hidden, batch, precision)
    found = plan(r, DEVICES["sm_90a"], "forward")
    assert found.path == path
    assert path == "persistent" or re.fullmatch(r"a block's products would take [\d,]+ clocks a step; above .*", found.reason)
    assert plan(r, DEVICES["sm_90a"], "forward", "persistent").path == "persistent"


def test_one_step_has_nothing_to_keep():
    assert plan(recurrence(steps=1), EMULATED, "forward").path == "stepwise"
    assert plan(recurrence(steps=1), EMULATED, "forward", "persistent").path == "persistent"
    assert plan(recurrence(steps=2), EMULATED, "forward", "stepwise").reason == "asked for"


def test_a_problem_that_no_kernel_can_take_is_refused():
    with pytest.raises(UnsupportedError, match="32 bits"):
        plan(recurrence(steps=2**20, batch=2**12), EMULATED, "forward")


def test_flops_and_bytes_of_a_step():
    found = plan(recurrence(hidden=10, batch=3), EMULATED, "forward")
    assert found.flops_per_step == 2 * 4 * 10 * 10 * 3
    assert found.bytes_per_step == 4 * (4 * 10 * 10 + 3 * (4 * 10 + 2 * 10 + 2 * 10))


def test_small_problems_are_spread_over_several_blocks_and_chunks_of_the_emulator():
    launches = [plan(recurrence(h, 5, "float32"), EMULATED, "backward").launches[0] for h in (9, 13, 33)]
    assert all(launch.grid[0] * launch.grid[1] > 1 for launch in launches)
    assert launches[-1].sizes["recurrent_chunk"] < launches[-1].sizes["recurrent_depth"]
