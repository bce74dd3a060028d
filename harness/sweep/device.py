"""Stopwatches: what starts and stops a time on a CPU, and on a GPU through torch's or CuPy's own events.

On a GPU two times are taken of the same calls: between two events on the current stream, which the backend works on, and on
the wall clock up to the end of a device-wide synchronise. Work that a backend hides on another stream shows as their gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from lstm_parity.backends import LSTMBackend, UnsupportedError
from lstm_parity.backends.problem import Array

from ..worker.calls import FormError

Index = Callable[[tuple[int, ...]], tuple[Array, ...]]
"""For an array's shape some places in it, one array of numbers for each axis."""
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
        """Wait for all that the device has to do, on whatever stream."""

    def flush(self) -> None:
        """Push what the device's cache holds out of it, and wait for that."""

    def values(self, array: Any, index: Index) -> bytes:
        """The values of a device array at places of `index`, read with no help of the backend's.

        Raises FormError for what is no such array on the device.
        """

    def peak_memory_bytes(self) -> int | None:
        """Most bytes held on the device, without those of `flush`; None where that is not known."""

    def device_name(self) -> str:
        """The device, as a person would name it."""


def stopwatch(backend: LSTMBackend, clock: Callable[[], float], flush_bytes: int) -> Stopwatch:
    """The stopwatch for a backend's device and kind of array. flush_bytes: more than the device's cache holds; 0: none."""
    if backend.capabilities.device == "cpu":
        return CPUStopwatch(backend, clock)
    array = backend.to_device(np.zeros(1, np.float32))
    library = type(array).__module__.partition(".")[0]
    if library == "torch" and array.is_cuda:
        return TorchStopwatch(clock, flush_bytes)
    if library == "cupy":
        return CuPyStopwatch(clock, flush_bytes)
    raise UnsupportedError(f"CUDA arrays of {library} cannot be timed; torch's on the device and CuPy's can")


def _kind(array: Any) -> str:
    """What it is, in words."""
    return f"a {type(array).__module__}.{type(array).__name__} on {getattr(array, 'device', 'the host')}"


def _flat(index: Index, shape: tuple[int, ...]) -> Array:
    """The places as numbers in row-major order, int64."""
    return np.ravel_multi_index(index(shape), shape).astype(np.int64) if shape else np.zeros(0, np.int64)


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
        """A CPU's work is done when the call returns."""

    def flush(self) -> None:
        """Whoever made the inputs has done it."""

    def values(self, array: Any, index: Index) -> bytes:
        """A CPU's arrays are read as what to_host makes of them."""
        raise NotImplementedError

    def peak_memory_bytes(self) -> None:
        """The process's own peak is what counts."""

    def device_name(self) -> str:
        """The processor's name."""
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
        self._flushed.zero_()
        self._torch.cuda.synchronize()

    def values(self, array: Any, index: Index) -> bytes:
        """See Stopwatch."""
        if type(array) is not self._torch.Tensor or not array.is_cuda:
            raise FormError(f"a timed call returned {_kind(array)}, expected a torch.Tensor on the device")
        shape = tuple(array.shape)
        if shape not in self._flat:
            self._flat[shape] = self._torch.as_tensor(_flat(index, shape), device=array.device)
        taken = self._torch.take(array.detach(), self._flat[shape])
        return bytes(taken.view(self._torch.uint8).cpu().numpy().tobytes())

    def peak_memory_bytes(self) -> int:
        """See Stopwatch: what torch's allocator held at most."""
        return int(self._torch.cuda.max_memory_allocated() - self._flushed.nbytes)

    def device_name(self) -> str:
        """The GPU's name."""
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
        self._flushed.fill(0)
        self._cupy.cuda.Device().synchronize()

    def values(self, array: Any, index: Index) -> bytes:
        """See Stopwatch."""
        if type(array) is not self._cupy.ndarray:
            raise FormError(f"a timed call returned {_kind(array)}, expected a cupy.ndarray")
        if array.shape not in self._flat:
            self._flat[array.shape] = self._cupy.asarray(_flat(index, array.shape))
        return bytes(self._cupy.asnumpy(array.take(self._flat[array.shape])).tobytes())

    def peak_memory_bytes(self) -> int:
        """See Stopwatch: what CuPy's pool holds, which does not shrink."""
        return int(self._cupy.get_default_memory_pool().total_bytes() - self._flushed.nbytes)

    def device_name(self) -> str:
        """The GPU's name."""
        name = self._cupy.cuda.runtime.getDeviceProperties(self._cupy.cuda.Device().id)["name"]
        return name.decode() if isinstance(name, bytes) else str(name)
