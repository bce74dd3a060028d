"""A constructed backend's calls: inputs up, forward and backward, what was returned down again, and its form.

What a backend returns is believed in nothing: each array must be of the type that `to_device` gives and come down as a plain
NumPy array of the promised shape and dtype. Whether its values are right is not asked here.
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
    """A backend returned something else than the interface asks for."""


@dataclass(eq=False)  # not frozen: it is made within timed calls, and a frozen one takes longer
class Output:
    """What one call returned: y [T, B, D*R], the final state, and the gradients (None for inference).

    Arrays are the backend's own as `call` gives them, host arrays as `HostReader` gives them.
    """

    y: Any
    state: LSTMState
    gradients: LSTMGradients | None

    def arrays(self) -> list[Any]:
        """Every array in it; what stands in the place of a DirectionWeights is left out."""
        found = [self.y, self.state.h, self.state.c]
        if self.gradients is not None:
            found += [self.gradients.x, self.gradients.h0, self.gradients.c0]
            directions = [d for layer in self.gradients.weights.layers for d in layer if isinstance(d, DirectionWeights)]
            found += [array for direction in directions for _, array in direction.items()]
        return found


def upload(backend: LSTMBackend, inputs: Inputs, put: Callable[[Array], Any] | None = None) -> tuple[Any, ...]:
    """The arguments of `call`: x, state, lengths and, for a training step, grad_y and grad_state.

    put: what makes the backend's array of a host array; its to_device if None.
    """
    put = put or backend.to_device
    state = LSTMState(put(inputs.state.h), put(inputs.state.c))
    if inputs.grad_y is None or inputs.grad_state is None:
        return put(inputs.x), state, inputs.lengths
    grad_state = LSTMState(put(inputs.grad_state.h), put(inputs.grad_state.c))
    return put(inputs.x), state, inputs.lengths, put(inputs.grad_y), grad_state


def call(backend: LSTMBackend, arguments: tuple[Any, ...], training: bool) -> Output:
    """Forward and, for training, backward, on what `upload` gave. Raises FormError where they return another kind of thing."""
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
    """Brings what a backend returned down to the host and checks the form of every array of it."""

    def __init__(self, backend: LSTMBackend, spec: LSTMSpec) -> None:
        self._to_host, self._spec = backend.to_host, spec
        self._array_type: type = type(backend.to_device(np.zeros(1, spec.dtype)))
        self._brought: dict[int, tuple[Any, Any]] = {}

    def bring(self, output: Output) -> list[Any]:
        """Every array of the output as to_host gives it, which `read` then reads without asking for it again."""
        arrays = output.arrays()
        brought = [self._to_host(array) for array in arrays]
        self._brought = {id(array): (array, host) for array, host in zip(arrays, brought, strict=True)}
        return brought

    def read(self, output: Output, steps: int, batch: int, rows: Array | None = None) -> Output:
        """The output of a call with T = steps and B = batch, as host arrays in the storage dtype.

        rows: batch rows of which everything but the weights' gradients is copied, [T, len(rows), D*R] and so on; if None,
        arrays are what to_host gives, and may share the backend's memory. Raises FormError, naming the tensor, what is there
        and what was expected.
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
        # An array's subclass could put off its work until it is read, when no clock runs.
        if type(found) is not np.ndarray or found.shape != shape or found.dtype != self._spec.dtype:
            raise FormError(f"{name} is {_form(found)}, expected {_form(np.empty(0, self._spec.dtype), shape)}")
        return found


def _form(array: Any, shape: tuple[int, ...] | None = None) -> str:
    if type(array) is np.ndarray:
        return f"{array.dtype} of shape {array.shape if shape is None else shape}"
    return f"a {type(array).__name__}"


def poison(outputs: Iterable[Output]) -> None:
    """Fill what was returned with NaN: a backend that hands the same buffer out again must not find its answer in it."""
    for output in outputs:
        for array in output.arrays():
            fill_with_nan(array)


def fill_with_nan(array: Any) -> None:
    """The backend's array, where it can be written to: one that cannot be cannot be handed out again changed, either.

    Arrays of integers hold a format's bits: all of them set is NaN in each of the formats.
    """
    holds_bits = getattr(getattr(array, "dtype", None), "kind", "") == "u"
    with suppress(TypeError, ValueError, RuntimeError):
        array[...] = np.iinfo(array.dtype).max if holds_bits else float("nan")
