"""One backend on one cell, inside its worker: construct, call, time, hand over what was returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends import LSTMBackend, LSTMGradients, LSTMWeights, UnsupportedError
from backends.problem import Array

from ..verify.agreement import Results, project
from ..worker.calls import FormError, HostReader, Output, call, spoil, upload
from ..worker.inherit import peak_memory_bytes
from .device import Stopwatch, stopwatch
from .inputs import InputRing, draw_weights
from .messages import Check, Checked, Fetch, Open, Opened, Prepare, Ready, Sample

LONGEST_REMARK = 300
"""Characters of what a backend says of itself."""


class Session:
    """A constructed backend and the inputs of its calls."""

    def __init__(self, backend: type[LSTMBackend], message: Open, clock: Callable[[], float]) -> None:
        cell = message.cell
        self._cell, self._seed = cell, message.seed
        reason = backend.capabilities.why_unsupported(cell.spec, lengths=cell.ragged, gradients=cell.training)
        if reason is None and cell.launch == "graph" and backend.capabilities.device != "cuda":
            reason = "a CUDA graph needs a CUDA backend"
        if reason is not None:
            raise UnsupportedError(reason)
        weights = _weights(message)
        start = clock()
        self._backend = backend(cell.spec, weights)
        self._backend.synchronize()
        self.setup_s = clock() - start
        del weights
        self._ring = InputRing(cell, message.seed, message.ring_size)
        self._flush = np.zeros(message.flush_bytes, np.uint8)
        self._stopwatch: Stopwatch = stopwatch(backend.capabilities.device, self._backend, clock)
        self._clock = clock
        self._prepared: list[tuple[Any, ...]] = []
        self._first = 0
        self._outputs: list[Output] = []
        self._at_return = b""
        self._reader = HostReader(self._backend, cell.spec)
        self.opened = Opened(self.setup_s, self._stopwatch.device_name())

    def check(self, message: Check) -> Checked:
        """The first call, on the inputs of call 0, untimed but for set-up, and the transfers of its arrays."""
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
        spoil([output])
        self._ring.renew(0)
        remark = "".join(c for c in " ".join(self._backend.remark().split()) if c.isprintable())[:LONGEST_REMARK]
        return Checked(results, called - uploaded, (uploaded - start) + (downloaded - called), remark)

    def prepare(self, message: Prepare) -> Ready:
        """Spoil and drop what the last sample returned, renew its inputs, and put the next ones in place."""
        spoil(self._outputs)
        for number in range(self._first, self._first + len(self._outputs)):
            self._ring.renew(number)
        self._outputs = []
        self._first = message.first
        self._prepared = [upload(self._backend, self._ring.take(message.first + k)) for k in range(message.calls)]
        self._backend.synchronize()
        if self._cell.launch == "graph":
            self._stopwatch.capture(lambda: call(self._backend, self._prepared[0], self._cell.training))
        if self._flush.size:
            np.add(self._flush, 1, out=self._flush)  # what the caches held is gone
            self._stopwatch.flush(self._flush.nbytes)
        elif self._cell.cache == "warm":
            for arguments in self._prepared:
                self._backend.to_host(arguments[0]).sum(dtype=np.float64)
        return Ready()

    def go(self) -> Sample:
        """Run the prepared calls, timed."""
        outputs: list[Output] = []

        def calls() -> None:
            for arguments in self._prepared:
                outputs.append(call(self._backend, arguments, self._cell.training))  # noqa: PERF401  as cheap, and a failed call keeps the earlier ones

        wall_s, device_s = self._stopwatch.time(calls)
        count = len(self._prepared)
        self._outputs = outputs or [self._stopwatch.captured()]
        if device_s is not None:
            return Sample(wall_s / count, device_s / count)
        start = self._clock()
        y = [self._backend.to_host(output.y) for output in self._outputs]
        read_s = self._clock() - start
        self._at_return = _last_step(y[-1])
        return Sample(wall_s / count, None, read_s / count)

    def fetch(self, message: Fetch) -> Results:
        """Batch rows of what one call of the last sample returned. Raises FormError where it came after the time was taken."""
        if self._at_return and self._at_return != _last_step(self._backend.to_host(self._outputs[-1].y)):
            raise FormError("y was not there yet, or changed, after forward and synchronize had returned")
        return self._results(self._outputs[message.index], message.rows, message.projection_seed)

    def memory(self) -> int | None:
        """Peak bytes since the cell was opened: the device's for a CUDA backend, else the host's."""
        device = self._stopwatch.peak_memory_bytes()
        return device if device is not None else peak_memory_bytes()

    def close(self) -> None:
        """Give back what the backend holds."""
        self._outputs, self._prepared = [], []
        self._backend.close()

    def _results(self, output: Output, rows: Array, projection_seed: int) -> Results:
        """Batch rows of what a call returned, as host arrays. Raises FormError for what is not of the promised form."""
        found = self._reader.read(output, self._cell.sequence_length, self._cell.batch_size, rows)
        g = found.gradients
        if g is None:
            return Results(found.y, found.state.h, found.state.c)
        of_rows = LSTMGradients(g.x, g.h0, g.c0, LSTMWeights(()))
        return Results(found.y, found.state.h, found.state.c, of_rows, project(g.weights, projection_seed))


def _last_step(y: Any) -> bytes:
    """The last step of y, by value."""
    return y[-1].tobytes() if isinstance(y, np.ndarray) and y.ndim else b""


def _weights(message: Open) -> LSTMWeights:
    if message.weights_file is None:
        return draw_weights(message.cell.spec, message.seed)
    from backends.model_files import load_weights

    return load_weights(message.weights_file).weights_for(message.cell.precision)
