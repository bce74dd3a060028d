"""The machine that is a GPU: CuPy arrays, kernels compiled by NVRTC, cuBLAS's matrix product, on CuPy's current stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..problem import STORAGE, Array
from .cublas import gemm_ex
from .device import Device
from .launch import Launch
from .machine import Argument, LaunchError, OutOfMemoryError, Recording
from .source import KERNELS, OPTIONS, definitions, gpu_source

NATIVE = {"float64": np.float64, "float32": np.float32, "tf32": np.float32, "float16": np.float16, "bfloat16": np.uint16}
"""What CuPy arrays hold. bfloat16 is held as its bits: not every CuPy knows the format, and only the kernels compute in it."""


class GPUMachine:
    """See Machine. kernels: the folder with the .cu files. Arrays belong to the device that is current when it is made."""

    def __init__(self, precision: str, kernels: Path = KERNELS) -> None:
        import cupy

        self._cupy = cupy
        self.precision, self._kernels = precision, kernels
        self.device = _current_device()
        self.stored = np.dtype(NATIVE[precision])
        self._real = np.dtype(np.float64 if precision == "float64" else np.float32)

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
        """See Machine."""
        return self._cupy.asarray(np.asarray(values).astype(np.int32))

    def contiguous(self, array: Any) -> Any:
        """See Machine."""
        found = self._cupy.ascontiguousarray(array)
        return found if found.data.ptr % 16 == 0 else found.copy()

    def copy(self, array: Any) -> Any:
        """See Machine."""
        return self._cupy.array(array, order="C")

    def launch(self, launch: Launch, arguments: Sequence[Argument]) -> None:
        """See Machine."""
        kernel = _kernel(
            self._kernels, launch.file, launch.kernel, self.precision, tuple(sorted(launch.sizes.items())), launch.cooperative
        )
        given = tuple(a if hasattr(a, "data") else np.uint64(0) if a is None else np.int32(a) for a in arguments)
        try:
            if launch.shared_bytes > kernel.max_dynamic_shared_size_bytes:
                kernel.max_dynamic_shared_size_bytes = launch.shared_bytes
            kernel(launch.grid, (launch.threads,), given, shared_mem=launch.shared_bytes)
        except self._cupy.cuda.driver.CUDADriverError as error:
            raise LaunchError(
                f"{self.device.name} refuses {launch.kernel}: {error}; it asks for {launch.grid} blocks of {launch.threads}"
                " threads,"
                f" {launch.shared_bytes} bytes of shared memory of {self.device.shared_bytes} a block,"
                f" {kernel.num_regs} registers a thread{', all blocks resident' if launch.cooperative else ''}"
            ) from error

    def gemm(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """See Machine. Raises CublasError."""
        gemm_ex(self.precision, a, b, out, accumulate)

    def replay(self, recording: Recording, arrays: Sequence[Any], launches: Callable[[], None]) -> None:
        """See Machine: recorded as a CUDA graph when the same arrays come a second time in a row, and replayed from then on.

        The first run compiles and warms up. On a stream that is being captured already, the launches become part of that graph.
        """
        current = self._cupy.cuda.get_current_stream()
        places = tuple(array.data.ptr for array in arrays)
        if current.is_capturing() or places != recording.places:
            recording.places, recording.graph = places, None
            launches()
            return
        if recording.graph is None:
            stream = self._cupy.cuda.Stream(non_blocking=True)  # the default stream cannot be captured
            with stream:
                stream.begin_capture()
                try:
                    launches()
                finally:
                    graph = stream.end_capture()
            recording.graph = graph
        recording.graph.launch(current)

    def check_room(self, needed: int) -> None:
        """See Machine: what the driver has free, and what CuPy's pool holds unused."""
        free = self._cupy.cuda.runtime.memGetInfo()[0] + self._cupy.get_default_memory_pool().free_bytes()
        if needed > free:
            raise OutOfMemoryError(
                f"the call needs {needed / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB of {self.device.name}'s memory are free"
            )


@cache
def _kernel(folder: Path, file: str, kernel: str, precision: str, sizes: tuple[tuple[str, int], ...], cooperative: bool) -> Any:
    """The compiled kernel; CuPy keeps compiled files on disk."""
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


def _current_device() -> Device:
    import cupy

    return _device(cupy.cuda.Device().id)
