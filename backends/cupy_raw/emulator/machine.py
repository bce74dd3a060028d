"""The CPU emulator as a Machine: NumPy arrays, and launches that run each under a schedule of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ...problem import STORAGE, Array
from ..machine import Argument, OutOfMemoryError, Recording
from ..plan.device import EMULATED, Device
from ..plan.launch import Launch, gemm_launch
from ..source import KERNELS
from .emulator import Emulator
from .schedule import KINDS, Schedule

RESERVE_BYTES = 256 << 20
"""Memory that a call leaves to the rest of the process."""


class EmulatedMachine:
    """See Machine."""

    seed: int
    """The schedule of a launch is drawn from it and from the number of launches before, unless one schedule is given"""
    detect: bool
    """Whether every access is checked; to be changed between calls only"""
    launches: int
    """So far"""
    switches: int
    """Between threads, in all launches so far"""

    def __init__(
        self,
        precision: str,
        kernels: Path = KERNELS,
        device: Device = EMULATED,
        schedule: Schedule | None = None,
        detect: bool = True,
        watch: Callable[[Launch], None] = lambda _: None,
    ) -> None:
        """kernels: the folder of the .cu files. schedule: of every launch. watch: called with each launch before it runs."""
        self._watch = watch
        self.precision, self.device, self.detect = precision, device, detect
        self._emulator, self._schedule = Emulator(kernels), schedule
        self.seed = self.launches = self.switches = 0
        self._stored = STORAGE[precision]
        self._real = np.dtype(np.float64 if precision == "float64" else np.float32)

    def upload(self, array: Array, *, real: bool = False) -> Array:
        """See Machine."""
        return np.array(array, self._real if real else self._stored, order="C")

    def empty(self, *shape: int, real: bool = False) -> Array:
        """See Machine; filled with NaN and, with `detect`, marked as never written."""
        return self._emulator.empty(shape, self._real if real else self._stored, self.detect)

    def zeros(self, *shape: int) -> Array:
        """See Machine."""
        return np.zeros(shape, self._stored)

    def zero_flags(self, count: int) -> Array:
        """See Machine."""
        return np.zeros(count, np.uint32)

    def integers(self, values: Array) -> Array:
        """See Machine."""
        return np.asarray(values).astype(np.int32)

    def contiguous(self, array: Array) -> Array:
        """See Machine."""
        found = np.ascontiguousarray(array)
        return found if found.ctypes.data % 16 == 0 else found.copy()

    def copy(self, array: Array) -> Array:
        """See Machine."""
        return np.array(array, order="C")

    def launch(self, launch: Launch, arguments: Sequence[Argument]) -> None:
        """See Machine. Raises EmulationError if the launch has findings."""
        drawn = self.seed + self.launches
        schedule = self._schedule or Schedule(KINDS[drawn % len(KINDS)], drawn)
        self.launches += 1
        self._watch(launch)
        try:
            self._emulator.launch(
                launch.kernel,
                self.precision,
                file=launch.file,
                grid=launch.grid,
                threads=launch.threads,
                shared_bytes=launch.shared_bytes,
                sizes=launch.sizes,
                arguments=arguments,
                cooperative=launch.cooperative,
                schedule=schedule,
                detect=self.detect,
            )
        finally:
            self.switches += self._emulator.switches

    def gemm(self, a: Array, b: Array, out: Array, *, accumulate: bool = False) -> None:
        """See Machine: by the project's own kernel (gemm.cu)."""
        size = a.itemsize
        strides = (*(s // size for s in (*a.strides, *b.strides)), out.strides[0] // out.itemsize)
        launch = gemm_launch(len(a), len(b), self._real.itemsize)
        self.launch(launch, (a, b, out, len(a), len(b), a.shape[1], *strides, int(accumulate)))

    def replay(self, recording: Recording, arrays: Sequence[Array], launches: Callable[[], None]) -> None:
        """See Machine: nothing is recorded, so that each launch has a schedule of its own."""
        launches()

    def check_room(self, needed: int) -> None:
        """See Machine."""
        free = _free_bytes()
        if free is not None and needed > free - RESERVE_BYTES:
            raise OutOfMemoryError(f"the call needs {needed / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB of memory are free")


def _free_bytes() -> int | None:
    """Memory that can still be allocated; None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
