"""Stopwatches: what starts and stops a time on a CPU, and on a GPU through torch's or CuPy's own events.

On a GPU two times are taken of the same calls: between two events on the current stream, which the backend works on, and on
the wall clock up to the end of a device-wide synchronise. Work that a backend hides on another stream shows as their gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from backends import LSTMBackend, UnsupportedError


class Stopwatch(Protocol):
    """Times calls on one kind of device."""

    def time(self, calls: Callable[[], None]) -> tuple[float, float | None]:
        """Run `calls` and wait for them: seconds on the wall clock, seconds between device events (None without a device)."""

    def capture(self, call: Callable[[], Any]) -> None:
        """Record `call` as a CUDA graph, which `time` replays in place of its calls."""

    def captured(self) -> Any:
        """What the recorded call returned; its arrays hold the last replay's results."""

    def flush(self, size: int) -> None:
        """Push what the device's cache holds out of it."""

    def peak_memory_bytes(self) -> int | None:
        """Most bytes held on the device; None where that is not known."""

    def device_name(self) -> str:
        """The device, as a person would name it."""


def stopwatch(device: str, backend: LSTMBackend, clock: Callable[[], float]) -> Stopwatch:
    """The stopwatch for a backend's device and kind of array."""
    if device == "cpu":
        return CPUStopwatch(backend, clock)
    library = type(backend.to_device(np.zeros(1, np.float32))).__module__.partition(".")[0]
    if library == "torch":
        return TorchStopwatch(clock)
    if library == "cupy":
        return CuPyStopwatch(clock)
    raise UnsupportedError(f"CUDA arrays of {library} cannot be timed; torch's and CuPy's can")


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

    def flush(self, size: int) -> None:
        """The caller's write has done it."""

    def peak_memory_bytes(self) -> None:
        """The process's own peak is what counts."""

    def device_name(self) -> str:
        """The processor's name."""
        from ..machine import cpu_name

        return cpu_name()


class TorchStopwatch:
    """Events of torch on its current stream."""

    def __init__(self, clock: Callable[[], float]) -> None:
        import torch

        self._torch, self._clock = torch, clock
        self._graph: Any = None
        self._output: Any = None
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

    def flush(self, size: int) -> None:
        """See Stopwatch."""
        self._torch.empty(size, dtype=self._torch.uint8, device="cuda").zero_()
        self._torch.cuda.synchronize()

    def peak_memory_bytes(self) -> int:
        """See Stopwatch: what torch's allocator held at most."""
        return int(self._torch.cuda.max_memory_allocated())

    def device_name(self) -> str:
        """The GPU's name."""
        return str(self._torch.cuda.get_device_name())


class CuPyStopwatch:
    """Events of CuPy on its current stream."""

    def __init__(self, clock: Callable[[], float]) -> None:
        import cupy

        self._cupy, self._clock = cupy, clock
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

    def flush(self, size: int) -> None:
        """See Stopwatch."""
        self._cupy.zeros(size, self._cupy.uint8)
        self._cupy.cuda.Device().synchronize()

    def peak_memory_bytes(self) -> int:
        """See Stopwatch: what CuPy's pool holds, which does not shrink."""
        return int(self._cupy.get_default_memory_pool().total_bytes())

    def device_name(self) -> str:
        """The GPU's name."""
        name = self._cupy.cuda.runtime.getDeviceProperties(self._cupy.cuda.Device().id)["name"]
        return name.decode() if isinstance(name, bytes) else str(name)
