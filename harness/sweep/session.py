"""One backend on one cell, inside its worker: construct it, call it, time it, and send back what it returned."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMBackend, LSTMGradients, LSTMWeights, UnsupportedError
from lstm_parity.backends.problem import Array

from ..machine.memory_usage import peak_memory_bytes
from ..oracle.results import Results, project
from ..problems.call_inputs import InputRing, draw_weights
from ..problems.values import Inputs
from ..worker.calls import FormError, HostReader, Output, call, poison, upload
from .device import Index, Stopwatch, Values, stopwatch
from .messages import Checked, CheckRequest, Fetch, MemoryUsed, Open, Opened, Prepare, Ready, Sample

MAX_REMARK = 300
"""Characters kept of a backend's remark on how it computed."""
PROBES = 64
"""Values of each returned array that are read right after the call, and compared with those that are fetched later."""
_TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]
_OFF = (0.0, 0.0)


class Session:
    """A constructed backend, the inputs of its calls, and what the last sample returned."""

    def __init__(self, backend: type[LSTMBackend], message: Open, clock: Callable[[], float]) -> None:
        cell = message.cell
        self._cell = cell
        reason = backend.capabilities.why_unsupported(cell.spec, lengths=cell.ragged, gradients=cell.training)
        if reason is None and cell.launch == "graph" and backend.capabilities.device != "cuda":
            reason = "a CUDA graph needs a CUDA backend"
        if reason is not None:
            raise UnsupportedError(reason)
        weights = _weights(message)
        start = clock()
        self._backend = backend(cell.spec, weights)
        self._backend.synchronize()
        setup_s = clock() - start
        del weights
        self._ring = InputRing(cell, message.ring_size)
        on_cpu = backend.capabilities.device == "cpu"
        self._flush = np.ones(message.flush_bytes // 8 if on_cpu else 0, np.int64)  # read to empty the CPU's caches
        self._stopwatch: Stopwatch = stopwatch(self._backend, clock, message.flush_bytes)
        self._clock = clock
        self._inputs: list[Inputs] = []
        self._captured: tuple[Any, ...] | None = None
        self._outputs: list[Output] = []
        self._probes = Probes()
        self._at_return: list[list[bytes]] = []
        self._hooks = Hooks()
        self._reader = HostReader(self._backend, cell.spec)
        self.opened = Opened(setup_s, self._stopwatch.device_name())

    def check(self, message: CheckRequest) -> Checked:
        """Make call 0, of which set-up and the transfers of its arrays are timed, and return its results."""
        self._ring.draw(message.key)
        start = self._clock()
        arguments = upload(self._backend, self._ring.take(0))
        self._backend.synchronize()
        uploaded = self._clock()
        output = call(self._backend, arguments, self._cell.training)
        self._backend.synchronize()
        called = self._clock()
        for array in (output.y, output.state.h, output.state.c):
            self._backend.to_host(array)
        downloaded = self._clock()
        results = self._results(output, message.rows, message.projection_seed)
        poison([output])
        remark = getattr(self._backend, "remark", str)  # an older revision's backend has none
        remark = "".join(c for c in " ".join(remark().split()) if c.isprintable())[:MAX_REMARK]
        return Checked(results, called - uploaded, (uploaded - start) + (downloaded - called), remark)

    def prepare(self, message: Prepare) -> Ready:
        """Fill what the last sample returned with NaN, drop it, and draw the inputs of the next sample.

        No method of the backend runs here once the inputs are known: its work would be outside the measured time.
        """
        self._hooks.disarm()
        poison(self._outputs)
        self._outputs, self._captured, self._inputs = [], None, []
        keys = iter(message.keys)
        for number in range(message.first, message.first + message.calls):
            while self._ring.drawn <= number:
                self._ring.draw(next(keys))
            self._inputs.append(self._ring.take(number))
        for key in keys:
            self._ring.draw(key)
        if self._cell.launch == "graph":
            arguments = self._captured = upload(self._backend, self._inputs[0])
            self._backend.synchronize()
            self._stopwatch.capture(lambda: call(self._backend, arguments, self._cell.training))
        if self._flush.size:
            self._flush.max()  # reading evicts the caches' content in a third of the time of writing
        elif self._cell.cache == "warm":
            for inputs in self._inputs:
                inputs.x.sum(dtype=np.float64)
        return Ready()

    def go(self) -> Sample:
        """Upload the inputs, run the calls, timed, and read what they returned; the parent's clock runs throughout."""
        outputs: list[Output] = []
        start = self._clock()
        self._hooks.arm()
        prepared = [upload(self._backend, inputs) for inputs in self._inputs] if self._captured is None else [self._captured]
        self._backend.synchronize()
        self._stopwatch.settle()
        handover_s = self._clock() - start
        self._stopwatch.flush()

        def calls() -> None:
            for arguments in prepared:
                outputs.append(call(self._backend, arguments, self._cell.training))  # noqa: PERF401  no slower, and keeps the earlier calls' outputs when one fails

        wall_s, device_s = self._stopwatch.time(calls)
        count = len(prepared)
        self._outputs = outputs or [self._stopwatch.captured()]
        if device_s is not None:  # read on the device: copying everything to the host takes longer than many a call
            self._at_return = [self._probes.read(output.arrays(), self._stopwatch.values) for output in self._outputs]
            return Sample(wall_s / count, device_s / count, handover_s / count)
        start = self._clock()
        on_host = [[self._backend.to_host(array) for array in output.arrays()] for output in self._outputs]
        handover_s += self._clock() - start
        self._at_return = [self._probes.read(arrays) for arrays in on_host]
        return Sample(wall_s / count, None, handover_s / count)

    def fetch(self, message: Fetch) -> Results:
        """Batch rows of what one call of the last sample returned.

        Raises FormError where the values are not those that were there right after the call.
        """
        if self._at_return[message.index] != self._probes.read(self._reader.bring(self._outputs[message.index])):
            raise FormError("y, a state or a gradient was not there yet, or changed, after the call had returned")
        return self._results(self._outputs[message.index], message.rows, message.projection_seed)

    def memory(self) -> MemoryUsed:
        """Peak bytes since the cell was opened."""
        return MemoryUsed(peak_memory_bytes(), self._stopwatch.peak_memory_bytes())

    def close(self) -> None:
        """Release what the backend holds."""
        self._outputs, self._inputs, self._captured = [], [], None
        self._backend.close()

    def _results(self, output: Output, rows: Array, projection_seed: int) -> Results:
        """Batch rows of what a call returned, weight gradients as projections. Raises FormError; see HostReader.read."""
        found = self._reader.read(output, self._cell.sequence_length, self._cell.batch_size, rows)
        g = found.gradients
        if g is None:
            return Results(found.y, found.state.h, found.state.c)
        of_rows = LSTMGradients(g.x, g.h0, g.c0, LSTMWeights(()))
        return Results(found.y, found.state.h, found.state.c, of_rows, project(g.weights, projection_seed))


class Probes:
    """Values at a few random positions of each array, the same positions in every call; no backend is told them."""

    def __init__(self) -> None:
        rng = np.random.default_rng()
        self._positions = rng.random((4, PROBES))

    def read(self, arrays: Iterable[Any], values: Values | None = None) -> list[bytes]:
        """The values of every array; half of them in its last index along the first axis: the last step, state or row.

        values: reads them from a device array; None for host arrays. Raises FormError for an array of another type: it could
        give other values when it is read again.
        """
        return [(values or _host_values)(array, self.index) for array in arrays]

    def index(self, shape: tuple[int, ...]) -> tuple[Array, ...]:
        """Positions in an array of this shape, one int array [PROBES] for each axis; empty ones for an empty array."""
        count = PROBES if shape and 0 not in shape else 0
        index = (self._positions[: len(shape), :count] * np.array(shape)[:, None]).astype(np.intp)
        index[:1, : count // 2] = shape[0] - 1 if count else 0
        return tuple(index)


def _host_values(array: Any, index: Index) -> bytes:
    """See Stopwatch.values."""
    if type(array) is not np.ndarray:
        raise FormError(f"to_host gave a {type(array).__name__} for what a timed call returned, expected a NumPy array")
    return bytes(array[index(array.shape)].tobytes()) if array.ndim else b""


def _weights(message: Open) -> LSTMWeights:
    if message.weights_file is None:
        return draw_weights(message.cell.spec, message.weights_seed)
    from lstm_parity.backends.weights import load_weights

    return load_weights(message.weights_file).weights_for(message.cell.spec.precision)


class Hooks:
    """No callback of Python's runs while inputs are drawn: no profiler, tracer, timer or garbage collection of the main thread.

    A backend that is called back then could do the work of the next call before the clock starts. A collection at that moment
    would also take time between samples at random.
    """

    def __init__(self) -> None:
        self._profile: Any = None
        self._trace: Any = None
        self._timers: list[tuple[float, float]] = []
        self._collects = False

    def disarm(self) -> None:
        """Take them away."""
        self._profile, self._trace, self._collects = sys.getprofile(), sys.gettrace(), gc.isenabled()
        sys.setprofile(None)
        sys.settrace(None)
        gc.disable()
        self._timers = [signal.setitimer(timer, 0.0) for timer in _TIMERS]

    def arm(self) -> None:
        """Restore them."""
        if self._collects:
            gc.enable()
        for timer, (seconds, interval) in zip(_TIMERS, self._timers, strict=False):
            if (seconds, interval) != _OFF:
                signal.setitimer(timer, seconds or interval, interval)
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
