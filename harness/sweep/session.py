"""One backend on one cell, inside its worker: construct, call, time, hand over what was returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends import DirectionWeights, LSTMBackend, LSTMGradients, LSTMState, LSTMWeights, UnsupportedError
from backends.problem import Array

from ..values import Inputs
from ..verify.agreement import Results, project
from .device import Stopwatch, stopwatch
from .inherit import peak_memory_bytes
from .inputs import InputRing, draw_weights
from .messages import Check, Checked, Fetch, Open, Opened, Prepare, Ready, Sample


@dataclass
class _Output:
    """What one call returned, as the backend's own arrays."""

    y: Any
    state: LSTMState
    gradients: LSTMGradients | None

    def arrays(self) -> list[Any]:
        found = [self.y, self.state.h, self.state.c]
        if self.gradients is not None:
            found += [self.gradients.x, self.gradients.h0, self.gradients.c0]
            found += [array for _, array in self.gradients.weights.items()]
        return found


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
        self._outputs: list[_Output] = []
        self._at_return = b""
        self._array_type: type = type(self._backend.to_device(np.zeros(1, cell.spec.dtype)))
        self.opened = Opened(self.setup_s, self._stopwatch.device_name())

    def check(self, message: Check) -> Checked:
        """The first call, on the inputs of call 0, untimed but for set-up, and the transfers of its arrays."""
        start = self._clock()
        arguments = self._upload(self._ring.take(0))
        self._backend.synchronize()
        uploaded = self._clock()
        output = self._call(arguments)
        self._backend.synchronize()
        called = self._clock()
        for array in (output.y, output.state.h, output.state.c):
            self._backend.to_host(array)
        downloaded = self._clock()
        results = self._results(output, message.rows, message.projection_seed)
        _spoil([output])
        self._ring.renew(0)
        return Checked(results, called - uploaded, (uploaded - start) + (downloaded - called))

    def prepare(self, message: Prepare) -> Ready:
        """Spoil and drop what the last sample returned, renew its inputs, and put the next ones in place."""
        _spoil(self._outputs)
        for call in range(self._first, self._first + len(self._outputs)):
            self._ring.renew(call)
        self._outputs = []
        self._first = message.first
        self._prepared = [self._upload(self._ring.take(message.first + k)) for k in range(message.calls)]
        self._backend.synchronize()
        if self._cell.launch == "graph":
            self._stopwatch.capture(lambda: self._call(self._prepared[0]))
        if self._flush.size:
            np.add(self._flush, 1, out=self._flush)  # what the caches held is gone
            self._stopwatch.flush(self._flush.nbytes)
        elif self._cell.cache == "warm":
            for arguments in self._prepared:
                self._backend.to_host(arguments[0]).sum(dtype=np.float64)
        return Ready()

    def go(self) -> Sample:
        """Run the prepared calls, timed."""
        outputs: list[_Output] = []

        def calls() -> None:
            for arguments in self._prepared:
                outputs.append(self._call(arguments))  # noqa: PERF401  as cheap, and a failed call keeps the earlier ones

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

    def _upload(self, inputs: Inputs) -> tuple[Any, ...]:
        put = self._backend.to_device
        state = LSTMState(put(inputs.state.h), put(inputs.state.c))
        if inputs.grad_y is None or inputs.grad_state is None:
            return put(inputs.x), state, inputs.lengths
        grad_state = LSTMState(put(inputs.grad_state.h), put(inputs.grad_state.c))
        return put(inputs.x), state, inputs.lengths, put(inputs.grad_y), grad_state

    def _call(self, arguments: tuple[Any, ...]) -> _Output:
        if not self._cell.training:
            return _Output(*_pair(self._backend.forward(*arguments)), None)
        x, before, lengths, grad_y, grad_state = arguments
        y, state = _pair(self._backend.forward(x, before, lengths, training=True))
        gradients = self._backend.backward(grad_y, grad_state)
        if not isinstance(gradients, LSTMGradients):
            raise FormError(f"backward returned a {type(gradients).__name__}, expected LSTMGradients")
        return _Output(y, state, gradients)

    def _results(self, output: _Output, rows: Array, projection_seed: int) -> Results:
        """Batch rows of what a call returned, as host arrays. Raises FormError for what is not of the promised form."""
        cell, spec = self._cell, self._cell.spec
        states = spec.num_layers * spec.num_directions
        shapes = {
            "y": (cell.sequence_length, cell.batch_size, spec.output_size),
            "h_n": (states, cell.batch_size, spec.state_size),
            "c_n": (states, cell.batch_size, spec.hidden_size),
        }

        def host(name: str, array: Any, shape: tuple[int, ...]) -> Array:
            if type(array) is not self._array_type:
                raise FormError(f"{name} is {_form(array)}, expected what to_device gives, a {self._array_type.__name__}")
            found = self._backend.to_host(array)
            # An array's subclass could put off its work until it is read, when no clock runs.
            if type(found) is not np.ndarray or found.shape != shape or found.dtype != spec.dtype:
                raise FormError(f"{name} is {_form(found)}, expected {_form(np.empty(0, spec.dtype), shape)}")
            return found

        def rows_of(name: str, array: Any, shape: tuple[int, ...]) -> Array:
            return np.ascontiguousarray(host(name, array, shape)[:, rows])

        y = rows_of("y", output.y, shapes["y"])
        h_n, c_n = (rows_of(n, a, shapes[n]) for n, a in (("h_n", output.state.h), ("c_n", output.state.c)))
        if output.gradients is None:
            return Results(y, h_n, c_n)
        g = output.gradients
        gradients = LSTMGradients(
            rows_of("the gradient of x", g.x, (*shapes["y"][:2], spec.input_size)),
            rows_of("the gradient of h0", g.h0, shapes["h_n"]),
            rows_of("the gradient of c0", g.c0, shapes["c_n"]),
            LSTMWeights(()),
        )
        weights = LSTMWeights(
            tuple(
                tuple(
                    DirectionWeights(
                        **{
                            name: host(f"the gradient of layers[{l}][{d}].{name}", getattr(direction, name), shape)
                            for name, shape in spec.weight_shapes(l).items()
                            if shape is not None
                        }
                    )
                    for d, direction in enumerate(layer)
                )
                for l, layer in enumerate(g.weights.layers)
            )
        )
        return Results(y, h_n, c_n, gradients, project(weights, projection_seed))


def _last_step(y: Any) -> bytes:
    """The last step of y, by value."""
    return y[-1].tobytes() if isinstance(y, np.ndarray) and y.ndim else b""


def _pair(returned: Any) -> tuple[Any, LSTMState]:
    if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], LSTMState):
        held = f" of {len(returned)}" if isinstance(returned, tuple) else ""
        raise FormError(f"forward returned a {type(returned).__name__}{held}, expected (y, LSTMState(h, c))")
    return returned


class FormError(Exception):
    """A backend returned something else than the interface asks for."""


def _form(array: Any, shape: tuple[int, ...] | None = None) -> str:
    if type(array) is np.ndarray:
        return f"{array.dtype} of shape {array.shape if shape is None else shape}"
    return f"a {type(array).__name__}"


def _weights(message: Open) -> LSTMWeights:
    if message.weights_file is None:
        return draw_weights(message.cell.spec, message.seed)
    from backends.model_files import load_weights

    return load_weights(message.weights_file).weights_for(message.cell.precision)


def _spoil(outputs: list[_Output]) -> None:
    """Fill what was returned with NaN: a backend that hands the same buffer out again must not find its answer in it."""
    for output in outputs:
        for array in output.arrays():
            try:
                array[...] = float("nan")
            except (TypeError, ValueError, RuntimeError):  # an array that cannot be written cannot be handed out again changed
                continue
