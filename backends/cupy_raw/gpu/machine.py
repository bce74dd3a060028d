"""A GPU as a Machine: CuPy arrays, kernels compiled by NVRTC, cuBLAS's matrix product, on CuPy's current stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...interface import UnsupportedError
from ...problem import STORAGE, Array
from ..machine import Argument, LaunchError, OutOfMemoryError, Recording
from ..plan.device import KIB, Device
from ..plan.launch import Launch
from ..source import KERNELS, OPTIONS, definitions, gpu_source
from .cublas import WORKSPACE_BYTES, gemm_ex

NATIVE = {"float64": np.float64, "float32": np.float32, "tf32": np.float32, "float16": np.float16, "bfloat16": np.uint16}
"""The dtypes of CuPy arrays. bfloat16 is stored as its bits: not every CuPy has it, and only the kernels compute in it."""

DEFAULT_SHARED_BYTES = 48 * KIB
"""Shared memory that a block may use without a change of the kernel's attribute."""

MAX_CONSTANT_ARRAYS = 64
"""Arrays of one value that are kept for later calls."""

MAX_GRAPHS = 4
"""Of one recording: CuPy's memory pool gives a call's arrays a few addresses in turn."""


class GPUMachine:
    """See Machine. kernels: the folder of the .cu files. Arrays are on the device that is current when it is constructed."""

    def __init__(self, precision: str, kernels: Path = KERNELS) -> None:
        import cupy

        self._cupy = cupy
        self.precision, self._kernels = precision, kernels
        self.device = _device(cupy.cuda.Device().id)
        self.stored = np.dtype(NATIVE[precision])
        self._real = np.dtype(np.float64 if precision == "float64" else np.float32)
        self._workspace = cupy.empty(WORKSPACE_BYTES, np.uint8)
        self._recorder = cupy.cuda.Stream(non_blocking=True)  # the default stream cannot be captured
        self._prepared: dict[tuple[Any, ...], Any] = {}
        self._constant_arrays: dict[tuple[int, int], Any] = {}

    def upload(self, array: Array, *, real: bool = False) -> Any:
        """See Machine."""
        if real:
            return self._cupy.asarray(np.ascontiguousarray(array, self._real))
        return self._cupy.asarray(np.ascontiguousarray(array, STORAGE[self.precision]).view(self.stored))

    def download(self, array: Any) -> Array:
        """The device array as a host array, in the storage dtype."""
        host: Array = self._cupy.asnumpy(array)
        return host.view(STORAGE[self.precision]) if host.dtype == self.stored else host

    def empty(self, *shape: int, real: bool = False) -> Any:
        """See Machine."""
        return self._cupy.empty(shape, self._real if real else self.stored)

    def zeros(self, *shape: int) -> Any:
        """See Machine."""
        return self._cupy.zeros(shape, self.stored)

    def zero_flags(self, count: int) -> Any:
        """See Machine."""
        return self._cupy.zeros(count, np.uint32)

    def integers(self, values: Array) -> Any:
        """See Machine. Raises UnsupportedError for values that differ while the stream is captured."""
        host = np.asarray(values).astype(np.int32)
        stream = self._cupy.cuda.get_current_stream()
        if (host == host[0]).all():  # the usual case needs no copy from the host, which a CUDA graph does not repeat
            return self._constant_array(len(host), int(host[0]), stream)
        if stream.is_capturing():
            raise UnsupportedError("sequences of different lengths in a CUDA graph: the lengths are the host's")
        return self._cupy.asarray(host)

    def _constant_array(self, count: int, value: int, stream: Any) -> Any:
        """An int32 array [count] of one value, kept for later calls; it must not be written."""
        found = self._constant_arrays.get((count, value))
        if found is None:
            found = self._cupy.empty(count, np.int32)
            found.fill(value)
            if not stream.is_capturing():  # else it is only filled when the graph is replayed
                stream.synchronize()  # the next call may come on another stream
                if len(self._constant_arrays) == MAX_CONSTANT_ARRAYS:
                    self._constant_arrays.clear()
                self._constant_arrays[count, value] = found
        return found

    def contiguous(self, array: Any) -> Any:
        """See Machine."""
        found = self._cupy.ascontiguousarray(array)
        return found if found.data.ptr % 16 == 0 else found.copy()

    def copy(self, array: Any) -> Any:
        """See Machine."""
        return self._cupy.array(array, order="C")

    def launch(self, launch: Launch, arguments: Sequence[Argument]) -> None:
        """See Machine."""
        kernel = self._prepared.get(launch.key) or self._prepare(launch)
        ndarray = self._cupy.ndarray
        # CuPy would pass a Python int with 64 bits
        given = tuple(a if isinstance(a, ndarray) else np.uint64(0) if a is None else np.int32(a) for a in arguments)
        try:
            kernel(launch.grid, (launch.threads,), given, shared_mem=launch.shared_bytes)
        except self._cupy.cuda.driver.CUDADriverError as error:
            raise self._refusal(launch, kernel, str(error)) from error

    def _prepare(self, launch: Launch) -> Any:
        """The compiled kernel, with the attributes that the launch needs. Raises LaunchError."""
        kernel = _kernel(
            self._kernels, launch.file, launch.kernel, self.precision, tuple(sorted(launch.sizes.items())), launch.cooperative
        )
        driver = self._cupy.cuda.driver
        try:
            if launch.shared_bytes > max(DEFAULT_SHARED_BYTES, kernel.max_dynamic_shared_size_bytes):
                kernel.max_dynamic_shared_size_bytes = launch.shared_bytes
            if launch.cooperative:  # CuPy would launch fewer blocks, which would wait for the others for ever
                blocks = driver.occupancyMaxActiveBlocksPerMultiprocessor(
                    kernel.kernel.ptr, launch.threads, launch.shared_bytes
                )
                if prod(launch.grid) > blocks * self.device.multiprocessors:
                    raise self._refusal(launch, kernel, f"{blocks * self.device.multiprocessors} blocks are resident at most")
        except driver.CUDADriverError as error:
            raise self._refusal(launch, kernel, str(error)) from error
        self._prepared[launch.key] = kernel
        return kernel

    def _refusal(self, launch: Launch, kernel: Any, why: str) -> LaunchError:
        registers = "an unknown number of"
        with suppress(self._cupy.cuda.driver.CUDADriverError):  # after a fault of an earlier kernel every driver call fails
            registers = kernel.num_regs
        return LaunchError(
            f"{self.device.name} refuses {launch.kernel}: {why}; it asks for {launch.grid} blocks of {launch.threads} threads,"
            f" {launch.shared_bytes} bytes of shared memory of {self.device.shared_bytes} a block, {registers} registers a"
            f" thread{', all blocks resident' if launch.cooperative else ''}"
        )

    def gemm(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """See Machine. Raises CublasError."""
        gemm_ex(self.precision, a, b, out, accumulate, self._workspace)

    def replay(self, recording: Recording, arrays: Sequence[Any], launches: Callable[[], None]) -> None:
        """See Machine: recorded as a CUDA graph at the second call with the same addresses, and replayed from then on.

        The first run compiles and warms up. If the stream is already being captured, the launches become part of that graph.
        """
        current, graphs = self._cupy.cuda.get_current_stream(), recording.graphs
        addresses = tuple(array.data.ptr for array in arrays)
        if current.is_capturing():
            launches()
        elif addresses not in graphs:
            if len(graphs) == MAX_GRAPHS:
                del graphs[next(iter(graphs))]
            graphs[addresses] = None
            launches()
        else:
            graphs[addresses] = graphs[addresses] or self._record(launches)
            graphs[addresses].launch(current)

    def _record(self, launches: Callable[[], None]) -> Any:
        with self._recorder as stream:
            stream.begin_capture()
            try:
                launches()
            except BaseException:
                with suppress(Exception):  # the first error is the one to raise
                    stream.end_capture()
                raise
            return stream.end_capture()

    def check_room(self, needed: int) -> None:
        """See Machine: the unused memory of CuPy's pool and the driver's free memory."""
        free = self._cupy.get_default_memory_pool().free_bytes()
        if needed > free:  # asking the driver takes as long as a small call
            free += self._cupy.cuda.runtime.memGetInfo()[0]
        if needed > free:
            raise OutOfMemoryError(
                f"the call needs {needed / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB of {self.device.name}'s memory are free"
            )


@cache
def _kernel(folder: Path, file: str, kernel: str, precision: str, sizes: tuple[tuple[str, int], ...], cooperative: bool) -> Any:
    """The compiled kernel; CuPy caches compiled files on disk."""
    import cupy

    options = (*OPTIONS, *definitions(precision, dict(sizes)))
    module = cupy.RawModule(code=gpu_source(file, folder), options=options, enable_cooperative_groups=cooperative)
    return module.get_function(kernel)


@cache
def _device(ordinal: int) -> Device:
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(ordinal)
    name = properties["name"]
    return Device(
        name.decode() if isinstance(name, bytes) else str(name),
        f"sm_{properties['major']}{properties['minor']}",
        properties["multiProcessorCount"],
        properties["sharedMemPerBlockOptin"],
        cooperative=bool(properties["cooperativeLaunch"]),
    )
