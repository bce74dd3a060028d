"""Stopwatches: the wall clock on a CPU; on a GPU also the events of torch or CuPy.

On a GPU the same calls are timed twice: between two events on the current stream, on which the backend works, and on the wall
clock until a device-wide synchronisation is over. Work on another stream shows as a gap between the two.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from lstm_parity.backends import LSTMBackend, UnsupportedError
from lstm_parity.backends.problem import Array

from ..worker.calls import FormError

Index = Callable[[tuple[int, ...]], tuple[Array, ...]]
"""Positions in an array of a given shape: one int array for each axis."""
Values = Callable[[Any, Index], bytes]


class Stopwatch(Protocol):
    """Times calls on one kind of device."""

    def time(self, calls: Callable[[], None]) -> tuple[float, float | None]:
        """Run `calls` and wait for them: seconds on the wall clock, seconds between device events (None without a device)."""

    def capture(self, call: Callable[[], Any]) -> None:
        """Record `call` as a CUDA graph, which `time` replays in place of its calls."""

    def captured(self) -> Any:
        """What the recorded call returned; its arrays hold the last replay's results."""

    def settle(self) -> None:
        """Wait for all work of the device, on every stream."""

    def flush(self) -> None:
        """Evict the content of the device's cache, and wait for that."""

    def values(self, array: Any, index: Index) -> bytes:
        """The values of a device array at the positions of `index`, read without the backend's methods.

        Raises FormError for what is no plain array of the library on the device.
        """

    def peak_memory_bytes(self) -> int | None:
        """Peak bytes on the device, without those of `flush`; None where that is not known."""

    def device_name(self) -> str:
        """Name of the processor or GPU."""


def stopwatch(backend: LSTMBackend, clock: Callable[[], float], flush_bytes: int) -> Stopwatch:
    """The stopwatch for a backend's device and array type.

    flush_bytes: more than the device's cache holds; 0: nothing is flushed. Raises UnsupportedError for a CUDA backend whose
    arrays are neither torch's on the device nor CuPy's.
    """
    if backend.capabilities.device == "cpu":
        return CPUStopwatch(backend, clock)
    array = backend.to_device(np.zeros(1, np.float32))
    library = type(array).__module__.partition(".")[0]
    if library == "torch" and array.is_cuda:
        return TorchStopwatch(clock, flush_bytes)
    if library == "cupy":
        return CuPyStopwatch(clock, flush_bytes)
    raise UnsupportedError(f"CUDA arrays of {library} cannot be timed; torch's on the device and CuPy's can")


def _describe(array: Any) -> str:
    return f"a {type(array).__module__}.{type(array).__name__} on {getattr(array, 'device', 'the host')}"


def _flat(index: Index, shape: tuple[int, ...]) -> Array:
    """The positions as row-major numbers, int64."""
    return np.ravel_multi_index(index(shape), shape).astype(np.int64) if shape else np.zeros(0, np.int64)


def _reset_persisting_l2() -> None:
    """Make the lines of the L2 cache that a backend declared persisting ordinary ones, which a flush evicts.

    cuCtxResetPersistingL2Cache of the CUDA driver API; drivers and devices without persisting lines do nothing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1").cuCtxResetPersistingL2Cache()


class CPUStopwatch:
    """The wall clock."""

    def __init__(self, backend: LSTMBackend, clock: Callable[[], float]) -> None:
        self._synchronize, self._clock = backend.synchronize, clock

    def time(self, calls: Callable[[], None]) -> tuple[float, None]:
        """See Stopwatch."""
        start = self._clock()
        calls()
        self._synchronize()
        return self._clock() - start, None

    def capture(self, call: Callable[[], Any]) -> None:
        """A CPU has no graphs. Raises UnsupportedError."""
        raise UnsupportedError("a CUDA graph needs a CUDA backend")

    def captured(self) -> Any:
        """See `capture`."""
        raise UnsupportedError("a CUDA graph needs a CUDA backend")

    def settle(self) -> None:
        """See Stopwatch: a CPU has no queue of work."""

    def flush(self) -> None:
        """See Stopwatch: the session evicts the CPU's cache when it prepares the inputs."""

    def values(self, array: Any, index: Index) -> bytes:
        """Not used: a CPU's arrays are read as host arrays."""
        raise NotImplementedError

    def peak_memory_bytes(self) -> None:
        """See Stopwatch: the memory of the process is measured instead."""

    def device_name(self) -> str:
        """See Stopwatch."""
        from ..machine.host import cpu_name

        return cpu_name()


class TorchStopwatch:
    """Events of torch on its current stream."""

    def __init__(self, clock: Callable[[], float], flush_bytes: int) -> None:
        import torch

        self._torch, self._clock = torch, clock
        self._graph: Any = None
        self._output: Any = None
        self._flat: dict[tuple[int, ...], Any] = {}
        self._flushed = torch.empty(flush_bytes, dtype=torch.uint8, device="cuda")
        torch.cuda.reset_peak_memory_stats()

    def time(self, calls: Callable[[], None]) -> tuple[float, float]:
        """See Stopwatch."""
        cuda = self._torch.cuda
        before, after = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        run = calls if self._graph is None else self._graph.replay
        cuda.synchronize()
        start = self._clock()
        before.record()
        run()
        after.record()
        cuda.synchronize()
        wall = self._clock() - start
        return wall, before.elapsed_time(after) / 1e3

    def capture(self, call: Callable[[], Any]) -> None:
        """See Stopwatch."""
        self._graph = self._torch.cuda.CUDAGraph()
        with self._torch.cuda.graph(self._graph):
            self._output = call()

    def captured(self) -> Any:
        """See Stopwatch."""
        return self._output

    def settle(self) -> None:
        """See Stopwatch."""
        self._torch.cuda.synchronize()

    def flush(self) -> None:
        """See Stopwatch."""
        _reset_persisting_l2()
        self._flushed.zero_()
        self._torch.cuda.synchronize()

    def values(self, array: Any, index: Index) -> bytes:
        """See Stopwatch."""
        if type(array) is not self._torch.Tensor or not array.is_cuda:
            raise FormError(f"a timed call returned {_describe(array)}, expected a torch.Tensor on the device")
        shape = tuple(array.shape)
        if shape not in self._flat:
            self._flat[shape] = self._torch.as_tensor(_flat(index, shape), device=array.device)
        taken = self._torch.take(array.detach(), self._flat[shape])
        return bytes(taken.view(self._torch.uint8).cpu().numpy().tobytes())

    def peak_memory_bytes(self) -> int:
        """See Stopwatch: the peak of torch's allocator."""
        return int(self._torch.cuda.max_memory_allocated() - self._flushed.nbytes)

    def device_name(self) -> str:
        """See Stopwatch."""
        return str(self._torch.cuda.get_device_name())


class CuPyStopwatch:
    """Events of CuPy on its current stream."""

    def __init__(self, clock: Callable[[], float], flush_bytes: int) -> None:
        import cupy

        self._cupy, self._clock = cupy, clock
        self._flat: dict[tuple[int, ...], Any] = {}
        self._flushed = cupy.empty(flush_bytes, cupy.uint8)
        self._stream: Any = None
        self._graph: Any = None
        self._output: Any = None

    def time(self, calls: Callable[[], None]) -> tuple[float, float]:
        """See Stopwatch."""
        cuda = self._cupy.cuda
        before, after = cuda.Event(), cuda.Event()
        cuda.Device().synchronize()
        start = self._clock()
        stream = cuda.get_current_stream()
        before.record(stream)
        if self._graph is None:
            calls()
        else:
            self._graph.launch(stream)
        after.record(stream)
        cuda.Device().synchronize()
        wall = self._clock() - start
        return wall, float(cuda.get_elapsed_time(before, after)) / 1e3

    def capture(self, call: Callable[[], Any]) -> None:
        """See Stopwatch."""
        self._stream = self._cupy.cuda.Stream(non_blocking=True)
        with self._stream:
            self._stream.begin_capture()
            self._output = call()
            self._graph = self._stream.end_capture()

    def captured(self) -> Any:
        """See Stopwatch."""
        return self._output

    def settle(self) -> None:
        """See Stopwatch."""
        self._cupy.cuda.Device().synchronize()

    def flush(self) -> None:
        """See Stopwatch."""
        _reset_persisting_l2()
        self._flushed.fill(0)
        self._cupy.cuda.Device().synchronize()

    def values(self, array: Any, index: Index) -> bytes:
        """See Stopwatch."""
        if type(array) is not self._cupy.ndarray:
            raise FormError(f"a timed call returned {_describe(array)}, expected a cupy.ndarray")
        if array.shape not in self._flat:
            self._flat[array.shape] = self._cupy.asarray(_flat(index, array.shape))
        return bytes(self._cupy.asnumpy(array.take(self._flat[array.shape])).tobytes())

    def peak_memory_bytes(self) -> int:
        """See Stopwatch: the size of CuPy's pool, which does not shrink."""
        return int(self._cupy.get_default_memory_pool().total_bytes() - self._flushed.nbytes)

    def device_name(self) -> str:
        """See Stopwatch."""
        name = self._cupy.cuda.runtime.getDeviceProperties(self._cupy.cuda.Device().id)["name"]
        return name.decode() if isinstance(name, bytes) else str(name)
