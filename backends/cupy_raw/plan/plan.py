"""Which kernels compute the recurrence of a layer, with which tiles, grid and shared memory, and why.

Two plans. **persistent**: one cooperative launch for the whole sequence, U in shared memory, a slice of hidden units in each
block (kernels/persistent_*.cu). **stepwise**: for each step one matrix product and one kernel for the gates
(kernels/stepwise_*.cu); always possible. Forward and backward are planned separately.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ...interface import UnsupportedError
from .device import KIB, Device
from .launch import Launch, ceil_div
from .recurrence import Direction, Recurrence
from .slices import Slice, slices

Path = Literal["persistent", "stepwise"]

STEP_THREADS = 128
MAX_CLOCKS, MAX_CLOCKS_OF_TENSOR_CORES = 5_000, 2_000
"""Above so many clocks a step (Slice.cost) the stepwise plan is picked, whose products are cuBLAS's, with larger tiles. On an
H200 a step takes, persistent and stepwise, in float32 20.0 and 18.9 us at H = 512, B = 64 (5,100 clocks), 95 and 46 us at
H = 1024, B = 64; in float16 4.8 and 6.4 us at H = 512, B = 64 (770 clocks), 28 and 15 us at H = 1024, B = 64 (4,100)."""
MAX_ROWS = 2**31 - 1
"""The kernels count rows and columns in 32 bits."""


@dataclass(frozen=True)
class Plan:
    """How one pass over one layer runs."""

    path: Path
    direction: Direction
    reason: str
    """Why this path"""
    launches: tuple[Launch, ...]
    """persistent: the one launch. stepwise: those of each step; backward, the last one runs once, after all steps"""
    flops_per_step: int
    """Of the recurrence: 2 per multiply-add"""
    bytes_per_step: int
    """U, the state, z and c, each once"""

    def launch(self, kernel: str) -> Launch:
        """The launch of that kernel."""
        return next(launch for launch in self.launches if launch.kernel == kernel)


@lru_cache(maxsize=1024)
def plan(recurrence: Recurrence, device: Device, direction: Direction, path: Path | None = None) -> Plan:
    """The plan for one pass. path: the one to use; None: persistent where it fits and a step costs less than MAX_CLOCKS.

    Raises UnsupportedError where `path`, or no path, can take the problem.
    """
    r = recurrence
    too_many = max(r.steps * r.batch, 4 * r.hidden * r.directions) > MAX_ROWS
    if too_many:
        raise UnsupportedError(f"T * B or 4 * H * D is above {MAX_ROWS}, and the kernels count rows and columns in 32 bits")
    best, reason = _persistent(r, device, direction)
    if path == "persistent" and best is None:
        raise UnsupportedError(f"the persistent kernel cannot take this problem: {reason}")
    max_clocks = MAX_CLOCKS_OF_TENSOR_CORES if best is not None and best.mma_depth else MAX_CLOCKS
    if best is not None and (path == "persistent" or (path is None and r.steps > 1 and best.cost <= max_clocks)):
        return _plan(r, "persistent", direction, reason, (best.launch(),))
    if path == "stepwise":
        reason = "asked for"
    elif best is not None and r.steps == 1:
        reason = "a single step: there is nothing to keep for the next one"
    elif best is not None:
        reason = (
            f"a block's products would take {best.cost:,.0f} clocks a step; above {max_clocks:,}, those of cuBLAS are faster"
        )
    return _plan(r, "stepwise", direction, reason, _stepwise(r, direction))


def _plan(r: Recurrence, path: Path, direction: Direction, reason: str, launches: tuple[Launch, ...]) -> Plan:
    per_row = 4 * r.hidden * r.state + (r.state * r.hidden if r.projected else 0)
    weights = per_row * r.directions * r.storage_bytes
    moved = r.batch * r.directions * (4 * r.hidden * r.real_bytes + 2 * r.state * r.storage_bytes + 2 * r.hidden * r.real_bytes)
    return Plan(path, direction, reason, launches, 2 * per_row * r.directions * r.batch, weights + moved)


def _stepwise(r: Recurrence, direction: Direction) -> tuple[Launch, ...]:
    sizes = {
        "hidden": r.hidden,
        "state": r.state,
        "directions": r.directions,
        "peepholes": int(r.peepholes),
        "projected": int(r.projected),
    }

    def launch(kernel: str, width: int) -> Launch:
        grid = (ceil_div(r.batch * width, STEP_THREADS), r.directions, 1)
        return Launch(f"stepwise_{direction}", kernel, grid, STEP_THREADS, 0, sizes)

    if direction == "forward":
        projection = (launch("project_forward", r.state),) if r.projected else ()
        return (launch("cells_forward", r.hidden), *projection)
    projection = (launch("project_backward", r.state),) if r.projected else ()
    return (*projection, launch("cells_backward", r.hidden), launch("state_gradients", r.hidden))


def _persistent(r: Recurrence, device: Device, direction: Direction) -> tuple[Slice | None, str]:
    """The cheapest slice of a persistent launch and a description of it, or None and why there is none."""
    if not device.cooperative:
        return None, f"{device.name} cannot keep all blocks of a launch resident"
    if r.directions > device.multiprocessors:
        return (
            None,
            f"{device.name} has {_count(device.multiprocessors, 'multiprocessor')}, and each direction needs blocks of its own",
        )
    candidates = [one for one in slices(r, device, direction) if one.shared_bytes <= device.shared_bytes]
    if not candidates:
        weights = 4 * r.hidden * r.state + (r.state * r.hidden if r.projected else 0)
        return None, (
            f"however {'U and W_hr' if r.projected else 'U'} ({weights * r.directions * r.storage_bytes / KIB:.0f} KiB) and the"
            f" batch are cut for the {device.multiprocessors} multiprocessors of {device.name}, a block needs more than their"
            f" {device.shared_bytes / KIB:.0f} KiB of shared memory"
        )
    best = min(candidates, key=lambda one: one.cost)
    blocks = best.grid[0] * best.grid[1] * best.grid[2]
    kept = "U and W_hr stay" if r.projected else "U stays"
    share = f"{_count(best.units, 'hidden unit')} and {_count(best.batch_slice, 'row')} of the batch"
    room = f"{best.shared_bytes / KIB:.1f} KiB each"
    return (
        best,
        f"{kept} in shared memory for all {r.steps} steps: {share} in each of {_count(blocks, 'block')}, {room}",
    )


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"
