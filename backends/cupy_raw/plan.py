"""Which kernels compute the recurrence of a layer, with which tiles, grid and shared memory, and why. No device is needed.

Two plans. **persistent**: one cooperative launch for the whole sequence, U in shared memory, a slice of hidden units in each
block (kernels/persistent_*.cu). **stepwise**: for each step one matrix product and one kernel for the rest (stepwise_*.cu);
always possible. Forward and backward are planned apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ..interface import UnsupportedError
from ..problem import LSTMSpec
from .device import KIB, Device
from .launch import Launch, carved, ceil_div, round_up

Path = Literal["persistent", "stepwise"]
Pass = Literal["forward", "backward"]

STEP_THREADS = 128
MMA_DEPTHS = {"tf32": 8, "float16": 16, "bfloat16": 16}
"""K of one tensor-core tile, for the precisions that have one."""

LEAST_BATCH_FOR_TENSOR_CORES = 8
"""Rows of the batch that a tile has: below, most of it would be padding."""

MOST_BATCH_TILE = 8
"""Rows of the batch that a thread adds up at once (kernels/slice.cuh)."""

FMA_PER_CLOCK = 128
MMA_PER_CLOCK = 1024
L2_BYTES_PER_CLOCK = 32
"""Of one multiprocessor, roughly: they weigh a slice's arithmetic against what it must read, and nothing else."""

MOST_PARTIAL_BYTES = 32 * KIB
"""Shared memory for partial sums, beyond which K is split less."""

MOST_ROWS = 2**31 - 1
"""Rows and columns are counted in 32 bits."""


@dataclass(frozen=True)
class Recurrence:
    """The recurrence of one layer: what is left of it once W x is there. See problem.py for the axis letters."""

    hidden: int
    state: int
    directions: int
    projected: bool
    peepholes: bool
    precision: str
    steps: int
    batch: int

    @classmethod
    def of(cls, spec: LSTMSpec, steps: int, batch: int) -> Recurrence:
        """Of each layer of a spec: they are all alike."""
        return cls(
            hidden=spec.hidden_size,
            state=spec.state_size,
            directions=spec.num_directions,
            projected=spec.proj_size > 0,
            peepholes=spec.peephole,
            precision=spec.precision,
            steps=steps,
            batch=batch,
        )

    @property
    def storage_bytes(self) -> int:
        """Size of an element as arrays hold it."""
        return {"float64": 8, "float32": 4, "tf32": 4}.get(self.precision, 2)

    @property
    def real_bytes(self) -> int:
        """Size of an element as it is computed in."""
        return 8 if self.precision == "float64" else 4


@dataclass(frozen=True)
class Plan:
    """How one pass over one layer runs. launches: all of them (persistent), or those of one step and, last, of the end.

    reason: why this path. flops, bytes: of one step's recurrence (2 per multiply-add; U, the state, z and c, each once).
    """

    path: Path
    direction: Pass
    reason: str
    launches: tuple[Launch, ...]
    flops_per_step: int
    bytes_per_step: int

    def launch(self, kernel: str) -> Launch:
        """The launch of that kernel."""
        return next(launch for launch in self.launches if launch.kernel == kernel)


@lru_cache(maxsize=1024)
def plan(recurrence: Recurrence, device: Device, direction: Pass, path: Path | None = None) -> Plan:
    """The plan for one pass. path: which one is wanted; None: the persistent one wherever it fits.

    Raises UnsupportedError where the wanted path cannot take the problem, or where none can.
    """
    r = recurrence
    too_many = max(r.steps * r.batch, 4 * r.hidden * r.directions) > MOST_ROWS
    if too_many:
        raise UnsupportedError(f"T * B or 4 * H * D is above {MOST_ROWS}, and the kernels count rows and columns in 32 bits")
    launch, reason = _persistent(r, device, direction)
    if path == "persistent" and launch is None:
        raise UnsupportedError(f"the persistent kernel cannot take this problem: {reason}")
    if launch is not None and path != "stepwise" and (r.steps > 1 or path == "persistent"):
        return _plan(r, "persistent", direction, reason, (launch,))
    if path == "stepwise":
        reason = "asked for"
    elif launch is not None:
        reason = "a single step: there is nothing to keep for the next one"
    return _plan(r, "stepwise", direction, reason, _stepwise(r, direction))


def _plan(r: Recurrence, path: Path, direction: Pass, reason: str, launches: tuple[Launch, ...]) -> Plan:
    per_row = 4 * r.hidden * r.state + (r.state * r.hidden if r.projected else 0)
    weights = per_row * r.directions * r.storage_bytes
    moved = r.batch * r.directions * (4 * r.hidden * r.real_bytes + 2 * r.state * r.storage_bytes + 2 * r.hidden * r.real_bytes)
    return Plan(path, direction, reason, launches, 2 * per_row * r.directions * r.batch, weights + moved)


def _stepwise(r: Recurrence, direction: Pass) -> tuple[Launch, ...]:
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


def _persistent(r: Recurrence, device: Device, direction: Pass) -> tuple[Launch | None, str]:
    """The persistent launch and why it fits, or None and why there is none."""
    if r.projected:
        return None, "a projection needs a second exchange between all blocks in every step"
    if not device.cooperative:
        return None, f"{device.name} cannot keep all blocks of a launch resident"
    if r.directions > device.multiprocessors:
        return None, f"{device.name} has {device.multiprocessors} multiprocessor, and each direction needs blocks of its own"
    candidates = [found for found in _slices(r, device, direction) if found.shared_bytes <= device.shared_bytes]
    if not candidates:
        whole = 4 * r.hidden * r.hidden * r.directions * r.storage_bytes
        return None, (
            f"however U ({whole / KIB:.0f} KiB) and the batch are cut for the {device.multiprocessors} multiprocessors of"
            f" {device.name}, a block needs more than their {device.shared_bytes / KIB:.0f} KiB of shared memory"
        )
    best = min(candidates, key=lambda found: found.cost)
    return best.launch(), (
        f"U stays in shared memory for all {r.steps} steps: {best.units} hidden units and {best.batch_slice} rows of the batch"
        f" in each of {best.grid[0] * best.grid[1] * best.grid[2]} blocks, {best.shared_bytes / KIB:.1f} KiB each"
    )


@dataclass(frozen=True)
class _Slice:
    """One way to cut the recurrence into blocks: `units` hidden units and `batch_slice` rows of the batch for each."""

    r: Recurrence
    device: Device
    direction: Pass
    units: int
    batch_slice: int

    @property
    def mma_depth(self) -> int:
        """K of a tensor-core tile; 0 where none is used."""
        return MMA_DEPTHS.get(self.r.precision, 0) if self.r.batch >= LEAST_BATCH_FOR_TENSOR_CORES else 0

    @property
    def grid(self) -> tuple[int, int, int]:
        """Slices of units, slices of the batch, directions."""
        return ceil_div(self.r.hidden, self.units), ceil_div(self.r.batch, self.batch_slice), self.r.directions

    @property
    def rows(self) -> int:
        """Rows of U, or of its transpose, that a block keeps; tiles of tensor cores have 16."""
        rows = 4 * self.units if self.direction == "forward" else self.units
        return round_up(rows, 16) if self.mma_depth else rows

    @property
    def width(self) -> int:
        """K of the product: h, or dz of all four gates."""
        return self.r.hidden if self.direction == "forward" else 4 * self.r.hidden

    @property
    def depth(self) -> int:
        """K with the padding that tiles need."""
        return round_up(self.width, self.mma_depth) if self.mma_depth else self.width

    @property
    def vector(self) -> int:
        """Elements of a 16-byte copy, where every row of the operand begins at a multiple of 16 bytes; else 1."""
        elements = 16 // self.r.storage_bytes
        return elements if self.width % elements == 0 else 1

    @property
    def stride_padding(self) -> int:
        """Elements that keep the rows of a fragment in different banks of shared memory."""
        return {8: 4, 16: 8}.get(self.mma_depth, 0)

    @property
    def slice_stride(self) -> int:
        """Elements from a row of the slice to the next; odd without tensor cores, where neighbours read neighbours."""
        return self.depth + self.stride_padding if self.mma_depth else self.depth | 1

    @property
    def splits(self) -> int:
        """Groups of threads over which K is split, so that none is idle."""
        if self.mma_depth:
            tiles = self.rows // 16 * (self.batch_slice // 8)
            useful = min(self.device.threads // 32 // tiles, self.depth // self.mma_depth)
        else:
            useful = min(self.device.threads // self.rows, self.depth)
        return max(1, min(useful, MOST_PARTIAL_BYTES // (self.rows * self.batch_slice * self.r.real_bytes)))

    @property
    def batch_tile(self) -> int:
        """Rows of the batch that a thread adds up at once."""
        return min(self.batch_slice, MOST_BATCH_TILE)

    @property
    def fixed_bytes(self) -> int:
        """Shared memory of everything but the operand."""
        r = self.r
        cells = self.batch_slice * self.units
        found = carved(self.rows * self.slice_stride, r.storage_bytes)
        found += carved(self.splits * self.rows * self.batch_slice, r.real_bytes) + carved(cells, r.real_bytes)
        return found + (carved(cells, r.storage_bytes) if self.direction == "forward" else 0)

    @property
    def chunk(self) -> int:
        """Columns of the operand in shared memory at once: all, or as many as there is room for; at least one piece."""
        piece = max(self.mma_depth, 16 // self.r.storage_bytes)
        room = (self.device.shared_bytes - self.fixed_bytes) // self.r.storage_bytes // self.batch_slice - self.stride_padding
        most = min(room, self.device.most_chunk)
        return self.depth if most >= round_up(self.depth, piece) else max(piece, most // piece * piece)

    @property
    def chunk_stride(self) -> int:
        """Elements from a row of the operand to the next: a multiple of 16 bytes."""
        return round_up(self.chunk, 16 // self.r.storage_bytes) + self.stride_padding

    @property
    def shared_bytes(self) -> int:
        """Of one block."""
        return self.fixed_bytes + carved(self.batch_slice * self.chunk_stride, self.r.storage_bytes)

    @property
    def cost(self) -> float:
        """Clocks of a step, roughly: the slice's multiply-adds, and reading the operand from the L2 cache."""
        rate = MMA_PER_CLOCK if self.mma_depth else FMA_PER_CLOCK
        read = self.batch_slice * self.width * self.r.storage_bytes
        return self.rows * self.depth * self.batch_slice / rate + read / L2_BYTES_PER_CLOCK

    def launch(self) -> Launch:
        """The cooperative launch."""
        sizes = {
            "hidden": self.r.hidden,
            "directions": self.r.directions,
            "units": self.units,
            "peepholes": int(self.r.peepholes),
            "threads": self.device.threads,
            "rows": self.rows,
            "depth": self.depth,
            "slice_stride": self.slice_stride,
            "chunk": self.chunk,
            "chunk_stride": self.chunk_stride,
            "splits": self.splits,
            "batch_slice": self.batch_slice,
            "batch_tile": self.batch_tile,
            "tensor_cores": int(self.mma_depth > 0),
            "vector": self.vector,
        }
        kernel = f"persistent_{self.direction}"
        return Launch(kernel, kernel, self.grid, self.device.threads, self.shared_bytes, sizes, cooperative=True)


def _slices(r: Recurrence, device: Device, direction: Pass) -> Iterator[_Slice]:
    """For each number of batch slices the thinnest slices of hidden units for which all blocks are resident."""
    blocks = device.multiprocessors // r.directions
    tensor_cores = r.precision in MMA_DEPTHS and r.batch >= LEAST_BATCH_FOR_TENSOR_CORES
    least_rows = 8 if tensor_cores else 1
    least_units = 4 if tensor_cores and direction == "forward" else 1
    batch_slices = 1
    while batch_slices <= min(blocks, r.batch):
        batch_slice = ceil_div(r.batch, batch_slices)
        if tensor_cores:
            batch_slice = round_up(batch_slice, least_rows)
        elif batch_slice > MOST_BATCH_TILE:
            batch_slice = round_up(batch_slice, MOST_BATCH_TILE)
        units = round_up(ceil_div(r.hidden, blocks // batch_slices), least_units)
        yield _Slice(r, device, direction, units, batch_slice)
        batch_slices *= 2
