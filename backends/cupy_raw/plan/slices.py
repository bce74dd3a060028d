"""How the persistent kernels cut a recurrence into blocks of hidden units and rows of the batch, and the cost.

The names are those of the SIZEs in kernels/slice.cuh and kernels/persistent.cuh; shared_bytes is what the kernels carve.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .device import KIB, Device
from .launch import Launch, carved, ceil_div, round_up
from .recurrence import Direction, Recurrence

MMA_DEPTHS = {"tf32": 8, "float16": 16, "bfloat16": 16}
"""K of one tensor-core tile, for the precisions that have one."""

STRIDE_PADDING = {0: 0, 8: 4, 16: 8}
"""By K of a tile: elements between rows that put the rows of a fragment into different banks of shared memory."""

MIN_BATCH_FOR_TENSOR_CORES = 8
"""Rows of the batch in a tile: below, most of it would be padding."""

MAX_BATCH_TILE = 8
"""Rows of the batch that a thread accumulates at once (kernels/slice.cuh)."""

FMA_PER_CLOCK = 128
MMA_PER_CLOCK = 1024
L2_BYTES_PER_CLOCK = 32
"""Of one multiprocessor, roughly: only used to compare the cost of slices (Slice.cost)."""

MAX_PARTIAL_BYTES = 32 * KIB
"""Shared memory for the partial sums of a product; K is not split further than fits."""


@dataclass(frozen=True)
class Product:
    """The product of a block: its slice of weights [rows, width] times an operand [batch_slice, width] made by all blocks."""

    wanted: int
    """Rows of the slice without padding; 0: there is no product"""
    width: int
    """K"""
    batch_slice: int
    threads: int
    storage_bytes: int
    real_bytes: int
    mma_depth: int
    """K of a tensor-core tile; 0: none is used"""

    @property
    def rows(self) -> int:
        """Of the slice, with the padding that tensor-core tiles of 16 rows need."""
        return round_up(self.wanted, 16) if self.mma_depth else max(1, self.wanted)

    @property
    def depth(self) -> int:
        """K with the padding that tiles need."""
        return round_up(self.width, self.mma_depth or 1)

    @property
    def stride(self) -> int:
        """Elements from a row of the slice to the next. Odd without tensor cores: lanes read neighbouring rows."""
        return self.depth + STRIDE_PADDING[self.mma_depth] if self.mma_depth else self.depth | 1

    @property
    def vector(self) -> int:
        """Elements of a 16-byte copy if every row of the operand begins at a multiple of 16 bytes, else 1."""
        elements = 16 // self.storage_bytes
        return elements if self.width % elements == 0 else 1

    @property
    def splits(self) -> int:
        """Groups of threads over which K is split, so that no thread is idle."""
        if self.mma_depth:
            tiles = self.rows // 16 * (self.batch_slice // 8)
            useful = min(self.threads // 32 // tiles, self.depth // self.mma_depth)
        else:
            useful = min(self.threads // self.rows, self.depth)
        return max(1, min(useful, MAX_PARTIAL_BYTES // (self.rows * self.batch_slice * self.real_bytes)))

    @property
    def piece(self) -> int:
        """Columns that are staged together at least: one tile, or 16 bytes."""
        return max(self.mma_depth, 16 // self.storage_bytes)

    @property
    def shared_bytes(self) -> int:
        """The slice and the partial sums."""
        partial = self.splits * self.rows * self.batch_slice
        return carved(self.rows * self.stride, self.storage_bytes) + carved(partial, self.real_bytes)

    def chunk(self, room: int) -> int:
        """Columns of the operand in shared memory at once: all, or as many as `room` allows; at least one piece."""
        return self.depth if round_up(self.depth, self.piece) <= room else max(self.piece, room // self.piece * self.piece)

    def sizes(self, name: str, room: int) -> dict[str, int]:
        """The SIZEs of the product. room: columns of the operand that fit into shared memory."""
        found = {
            "rows": self.rows,
            "width": self.width,
            "depth": self.depth,
            "stride": self.stride,
            "chunk": self.chunk(room),
            "splits": self.splits,
            "vector": self.vector,
        }
        return {f"{name}_{size}": value for size, value in found.items()}


@dataclass(frozen=True)
class Slice:
    """One way to cut the recurrence into blocks: `units` hidden units and `batch_slice` rows of the batch for each."""

    r: Recurrence
    device: Device
    direction: Direction
    units: int
    batch_slice: int

    @property
    def mma_depth(self) -> int:
        """K of a tensor-core tile; 0 where none is used."""
        return MMA_DEPTHS[self.r.precision] if uses_tensor_cores(self.r) else 0

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks: slices of units, slices of the batch, directions."""
        return ceil_div(self.r.hidden, self.units), ceil_div(self.r.batch, self.batch_slice), self.r.directions

    @property
    def outputs(self) -> int:
        """Elements of h that a block makes."""
        return ceil_div(self.r.state, self.grid[0]) if self.r.projected else self.units

    @cached_property
    def recurrent(self) -> Product:
        """U h, or U^T dz."""
        rows, width = (4 * self.units, self.r.state) if self.direction == "forward" else (self.outputs, 4 * self.r.hidden)
        return self._product(rows, width)

    @cached_property
    def projection(self) -> Product:
        """W_hr (o tanh(c)), or W_hr^T dh."""
        if not self.r.projected:
            return self._product(0, 1)
        rows, width = (self.outputs, self.r.hidden) if self.direction == "forward" else (self.units, self.r.state)
        return self._product(rows, width)

    def _product(self, rows: int, width: int) -> Product:
        r, mma_depth = self.r, self.mma_depth if rows else 0
        return Product(rows, width, self.batch_slice, self.device.threads, r.storage_bytes, r.real_bytes, mma_depth)

    @property
    def fixed_bytes(self) -> int:
        """Shared memory of a block for everything but the operand."""
        r = self.r
        found = self.recurrent.shared_bytes + self.projection.shared_bytes + carved(self.batch_slice * self.units, r.real_bytes)
        return found + (carved(self.batch_slice * self.outputs, r.storage_bytes) if self.direction == "forward" else 0)

    @property
    def max_columns(self) -> int:
        """Columns of the operand that fit into shared memory."""
        row = (self.device.shared_bytes - self.fixed_bytes) // self.batch_slice // self.r.storage_bytes
        return min(row - STRIDE_PADDING[self.mma_depth], self.device.max_chunk)

    @property
    def operand_stride(self) -> int:
        """Elements from a row of the operand to the next: enough for both products, and a multiple of 16 bytes."""
        columns = max(p.chunk(self.max_columns) for p in (self.recurrent, self.projection))
        return round_up(columns, 16 // self.r.storage_bytes) + STRIDE_PADDING[self.mma_depth]

    @property
    def shared_bytes(self) -> int:
        """Of one block."""
        return self.fixed_bytes + carved(self.batch_slice * self.operand_stride, self.r.storage_bytes)

    @property
    def cost(self) -> float:
        """Clocks of a step, roughly: the multiply-adds, and reading the operands from the L2 cache."""
        rate = MMA_PER_CLOCK if self.mma_depth else FMA_PER_CLOCK
        products = (self.recurrent, self.projection) if self.r.projected else (self.recurrent,)
        read = sum(p.width for p in products) * self.batch_slice * self.r.storage_bytes
        return sum(p.rows * p.depth for p in products) * self.batch_slice / rate + read / L2_BYTES_PER_CLOCK

    def launch(self) -> Launch:
        """The cooperative launch."""
        sizes = {
            "hidden": self.r.hidden,
            "state": self.r.state,
            "directions": self.r.directions,
            "units": self.units,
            "outputs": self.outputs,
            "peepholes": int(self.r.peepholes),
            "projected": int(self.r.projected),
            "threads": self.device.threads,
            "batch_slice": self.batch_slice,
            "batch_tile": min(self.batch_slice, MAX_BATCH_TILE),
            "tensor_cores": int(self.mma_depth > 0),
            "operand_stride": self.operand_stride,
            **self.recurrent.sizes("recurrent", self.max_columns),
            **self.projection.sizes("projection", self.max_columns),
        }
        kernel = f"persistent_{self.direction}"
        return Launch(kernel, kernel, self.grid, self.device.threads, self.shared_bytes, sizes, cooperative=True)


def uses_tensor_cores(r: Recurrence) -> bool:
    """Whether tensor cores have the precision, and the batch fills a tile."""
    return r.precision in MMA_DEPTHS and r.batch >= MIN_BATCH_FOR_TENSOR_CORES


def slices(r: Recurrence, device: Device, direction: Direction) -> Iterator[Slice]:
    """For each number of batch slices the smallest slices of hidden units with which all blocks are resident."""
    blocks, tensor_cores = device.multiprocessors // r.directions, uses_tensor_cores(r)
    min_units = 4 if tensor_cores and direction == "forward" else 1  # four gates of four units are a tile
    batch_slices = 1
    while batch_slices <= min(blocks, r.batch, device.max_batch_slices):
        batch_slice = ceil_div(r.batch, batch_slices)
        if tensor_cores or batch_slice > MAX_BATCH_TILE:
            batch_slice = round_up(batch_slice, MAX_BATCH_TILE)
        yield Slice(r, device, direction, round_up(ceil_div(r.hidden, blocks // batch_slices), min_units), batch_slice)
        batch_slices *= 2
