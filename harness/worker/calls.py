"""A constructed backend's calls: upload of inputs, forward and backward, download of results, and the check of their form.

Each returned array must be of the type that `to_device` gives and come down as a plain NumPy array of the promised shape and
dtype. Values are checked elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMBackend, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from ..problems.values import Inputs


class FormError(Exception):
    """A backend returned something of another form than the interface asks for."""


@dataclass(eq=False)  # not frozen: it is made within timed calls, and a frozen one takes longer
class Output:
    """What one call returned: the backend's own arrays from `call`, host arrays from `HostReader`."""

    y: Any
    """[T, B, D*R]"""
    state: LSTMState
    """The final one: h [L*D, B, R], c [L*D, B, H]."""
    gradients: LSTMGradients | None
    """None for inference."""

    def arrays(self) -> list[Any]:
        """Every array in it, without those of anything that is no DirectionWeights where one is expected."""
        found = [self.y, self.state.h, self.state.c]
        if self.gradients is not None:
            found += [self.gradients.x, self.gradients.h0, self.gradients.c0]
            directions = [d for layer in self.gradients.weights.layers for d in layer if isinstance(d, DirectionWeights)]
            found += [array for direction in directions for _, array in direction.items()]
        return found


def upload(backend: LSTMBackend, inputs: Inputs, put: Callable[[Array], Any] | None = None) -> tuple[Any, ...]:
    """The arguments of `call`: x, state, lengths and, for a training step, grad_y and grad_state.

    put: makes the backend's array from a host array; its to_device if None.
    """
    put = put or backend.to_device
    state = LSTMState(put(inputs.state.h), put(inputs.state.c))
    if inputs.grad_y is None or inputs.grad_state is None:
        return put(inputs.x), state, inputs.lengths
    grad_state = LSTMState(put(inputs.grad_state.h), put(inputs.grad_state.c))
    return put(inputs.x), state, inputs.lengths, put(inputs.grad_y), grad_state


def call(backend: LSTMBackend, arguments: tuple[Any, ...], training: bool) -> Output:
    """Forward and, for training, backward, on what `upload` gave. Raises FormError."""
    output = call_forward(backend, arguments, training)
    return call_backward(backend, arguments, output) if training else output


def call_forward(backend: LSTMBackend, arguments: tuple[Any, ...], training: bool) -> Output:
    """Forward alone, on what `upload` gave; see `call`."""
    x, state, lengths, *_ = arguments
    if not training:
        return Output(*_pair(backend.forward(x, state, lengths)), None)
    return Output(*_pair(backend.forward(x, state, lengths, training=True)), None)


def call_backward(backend: LSTMBackend, arguments: tuple[Any, ...], output: Output) -> Output:
    """The output of a training forward with the gradients of its backward; see `call`."""
    gradients = backend.backward(*arguments[3:])
    if not isinstance(gradients, LSTMGradients):
        raise FormError(f"backward returned a {type(gradients).__name__}, expected LSTMGradients")
    if not isinstance(gradients.weights, LSTMWeights):
        raise FormError(f"the gradients of the weights are a {type(gradients.weights).__name__}, expected LSTMWeights")
    return Output(output.y, output.state, gradients)


def _pair(returned: Any) -> tuple[Any, LSTMState]:
    if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], LSTMState):
        held = f" of {len(returned)}" if isinstance(returned, tuple) else ""
        raise FormError(f"forward returned a {type(returned).__name__}{held}, expected (y, LSTMState(h, c))")
    return returned


class HostReader:
    """Copies what a backend returned to the host and checks the form of every array of it."""

    def __init__(self, backend: LSTMBackend, spec: LSTMSpec) -> None:
        self._to_host, self._spec = backend.to_host, spec
        self._array_type: type = type(backend.to_device(np.zeros(1, spec.dtype)))
        self._brought: dict[int, tuple[Any, Any]] = {}

    def bring(self, output: Output) -> list[Any]:
        """Every array of the output as to_host gives it; `read` then uses these arrays."""
        arrays = output.arrays()
        brought = [self._to_host(array) for array in arrays]
        self._brought = {id(array): (array, host) for array, host in zip(arrays, brought, strict=True)}
        return brought

    def read(self, output: Output, steps: int, batch: int, rows: Array | None = None) -> Output:
        """The output of a call with T = steps and B = batch, as host arrays in the storage dtype.

        rows: batch rows of which everything but the weights' gradients is copied, [T, len(rows), D*R] and so on; if None,
        arrays are what to_host gives, and may share the backend's memory. Raises FormError, with the tensor's name, its form
        and the expected one.
        """
        spec = self._spec
        states = spec.num_layers * spec.num_directions
        h_shape, c_shape = (states, batch, spec.state_size), (states, batch, spec.hidden_size)

        def read_rows(name: str, array: Any, shape: tuple[int, ...]) -> Array:
            found = self._host(name, array, shape)
            return found if rows is None else np.ascontiguousarray(found[:, rows])

        y = read_rows("y", output.y, (steps, batch, spec.output_size))
        state = LSTMState(read_rows("h_n", output.state.h, h_shape), read_rows("c_n", output.state.c, c_shape))
        if output.gradients is None:
            return Output(y, state, None)
        g = output.gradients
        gradients = LSTMGradients(
            read_rows("the gradient of x", g.x, (steps, batch, spec.input_size)),
            read_rows("the gradient of h0", g.h0, h_shape),
            read_rows("the gradient of c0", g.c0, c_shape),
            self._weights(g.weights),
        )
        return Output(y, state, gradients)

    def _weights(self, weights: LSTMWeights) -> LSTMWeights:
        """The weights' gradients as host arrays."""
        spec = self._spec
        if len(weights.layers) != spec.num_layers:
            raise FormError(f"the gradients of the weights have {len(weights.layers)} layers, expected {spec.num_layers}")
        for l, layer in enumerate(weights.layers):
            if len(layer) != spec.num_directions:
                raise FormError(f"the gradients of layers[{l}] have {len(layer)} directions, expected {spec.num_directions}")
        return LSTMWeights(
            tuple(
                tuple(self._direction(l, d, found) for d, found in enumerate(layer)) for l, layer in enumerate(weights.layers)
            )
        )

    def _direction(self, l: int, d: int, direction: Any) -> DirectionWeights:
        path = f"the gradient of layers[{l}][{d}]"
        if not isinstance(direction, DirectionWeights):
            raise FormError(f"{path} is {_form(direction)}, expected DirectionWeights")
        arrays = {}
        for name, shape in self._spec.weight_shapes(l).items():
            array = getattr(direction, name)
            if shape is not None:
                arrays[name] = self._host(f"{path}.{name}", array, shape)
            elif array is not None:
                raise FormError(f"{path}.{name} is {_form(array)}, expected None: the spec has no such weight")
        return DirectionWeights(**arrays)

    def _host(self, name: str, array: Any, shape: tuple[int, ...]) -> Array:
        if type(array) is not self._array_type:
            raise FormError(f"{name} is {_form(array)}, expected what to_device gives, a {self._array_type.__name__}")
        of, host = self._brought.get(id(array), (None, None))
        found = host if of is array else self._to_host(array)
        # a subclass could defer its work until it is read, after the clock has stopped
        if type(found) is not np.ndarray or found.shape != shape or found.dtype != self._spec.dtype:
            raise FormError(f"{name} is {_form(found)}, expected {_form(np.empty(0, self._spec.dtype), shape)}")
        return found


def _form(array: Any, shape: tuple[int, ...] | None = None) -> str:
    if type(array) is np.ndarray:
        return f"{array.dtype} of shape {array.shape if shape is None else shape}"
    return f"a {type(array).__name__}"


def poison(outputs: Iterable[Output]) -> None:
    """Fill what was returned with NaN, so that a backend that returns the same buffer again does not find its answer in it."""
    for output in outputs:
        for array in output.arrays():
            fill_with_nan(array)


def fill_with_nan(array: Any) -> None:
    """Fill the backend's array, unless it is read-only.

    An array of integers holds the bits of a floating-point format, in each of which all bits set is NaN.
    """
    holds_bits = getattr(getattr(array, "dtype", None), "kind", "") == "u"
    with suppress(TypeError, ValueError, RuntimeError):
        array[...] = np.iinfo(array.dtype).max if holds_bits else float("nan")
