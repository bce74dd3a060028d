"""One launch of one kernel, as a value that both machines take, and that can be printed and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any


@dataclass(frozen=True)
class Launch:
    """A launch of a kernel."""

    file: str
    """Of the folder kernels, without .cu"""
    kernel: str
    """The kernel's name in the file"""
    grid: tuple[int, int, int]
    """Blocks along x, y, z"""
    threads: int
    """Of a block"""
    shared_bytes: int = 0
    """Dynamic shared memory of a block"""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The SIZEs of the file: compile-time constants on a GPU"""
    cooperative: bool = False
    """Whether all blocks must be resident at once"""

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """All fields, hashable."""
        sizes = tuple(sorted(self.sizes.items()))
        return self.file, self.kernel, self.grid, self.threads, self.shared_bytes, sizes, self.cooperative


def ceil_div(a: int, b: int) -> int:
    """The smallest n with n * b >= a."""
    return -(-a // b)


def round_up(a: int, b: int) -> int:
    """The smallest multiple of b that is at least a."""
    return ceil_div(a, b) * b


def carved(count: int, itemsize: int) -> int:
    """Bytes that `Shared` (kernels/gpu.cuh) takes for an array."""
    return round_up(count * itemsize, 16)


GEMM_TILE, GEMM_THREADS, GEMM_DEPTH = 16, 64, 32
COPY_THREADS = 256
SUM_COLUMNS, SUM_WARPS = 32, 8


@lru_cache(maxsize=256)
def gemm_launch(rows: int, columns: int, real_bytes: int) -> Launch:
    """C [rows, columns] = A B^T by this project's own kernel (gemm.cu)."""
    grid = (ceil_div(rows, GEMM_TILE), ceil_div(columns, GEMM_TILE), 1)
    return Launch("gemm", "gemm", grid, GEMM_THREADS, 2 * carved(GEMM_TILE * (GEMM_DEPTH + 1), real_bytes))


@lru_cache(maxsize=256)
def copy_launch(kernel: str, rows: int, columns: int) -> Launch:
    """A kernel of copies.cu over [rows, columns], one thread for each element."""
    return Launch("copies", kernel, (max(1, ceil_div(rows * columns, COPY_THREADS)), 1, 1), COPY_THREADS)


@lru_cache(maxsize=256)
def sum_launch(kernel: str, columns: int, real_bytes: int, rows_of_blocks: int = 1) -> Launch:
    """A kernel of sums.cu: for each of `columns` columns the sum over all steps and rows of the batch."""
    grid = (ceil_div(columns, SUM_COLUMNS), rows_of_blocks, 1)
    return Launch("sums", kernel, grid, SUM_COLUMNS * SUM_WARPS, carved(SUM_COLUMNS * SUM_WARPS, real_bytes))
