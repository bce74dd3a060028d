"""Executes a program on a backend class: constructs instances, makes calls, and detects changed arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMBackend, LSTMWeights
from lstm_parity.backends.problem import Array

from ...oracle.results import Results
from ...worker.calls import HostReader, Output, call, call_backward, call_forward, fill_with_nan, poison, upload
from ..program import Layout, Program, ProgramResult
from .steady import repeat


def execute(backend: type[LSTMBackend], program: Program) -> ProgramResult:
    """Execute the program. Raises FormError for results of the wrong form, and whatever the backend raises."""
    if program.repeat:
        return _repeat(backend, program)
    given = [(spec, _copied(weights)) for spec, weights in program.instances]
    instances = [backend(spec, weights) for spec, weights in given]
    changes: list[str] = []
    results: list[Results] = []
    kept: list[tuple[HostReader, Output, int, int]] = []
    try:
        reused: dict[tuple[Any, ...], Any] = {}
        begun = (_Call(instances[which], program, number, reused) for number, (which, _) in enumerate(program.calls))
        for number, one in enumerate(list(begun) if program.interleaved else begun, 1):
            results.append(one.finish())
            changes += [f"call {number} wrote to {name}" for name in one.written_to()]
            if program.keep:
                kept.append((one.reader, one.output, one.steps, one.batch))
            else:
                poison([one.output])
        for number, (then, (reader, output, steps, batch)) in enumerate(zip(results, kept, strict=False), 1):
            old, new = then.tensors(), _read(reader, output, steps, batch).tensors()
            changed = [name for name in old if old[name].tobytes() != new[name].tobytes()]
            changes += [f"{name} of call {number} was changed by a later call" for name in changed]
        for (_, original), (_, weights) in zip(program.instances, given, strict=True):
            pairs = zip(original.items(), weights.items(), strict=True)
            changes += [f"{path} was written to" for (path, a), (_, b) in pairs if a.tobytes() != b.tobytes()]
    finally:
        for instance in instances:
            instance.close()
    return ProgramResult(tuple(results), tuple(changes))


def _repeat(backend: type[LSTMBackend], program: Program) -> ProgramResult:
    """Repeat the call. Nothing is kept here between calls, so that any growth is the backend's."""
    ((_, inputs),) = program.calls
    instance = backend(*program.instances[0])
    put = _put(instance, program.layout)

    def once() -> None:
        call(instance, upload(instance, inputs, put), inputs.grad_y is not None)
        instance.synchronize()

    try:
        return ProgramResult((), (), repeat(once, program.repeat))
    finally:
        instance.close()


class _Call:
    """One call of a program: its forward is done when it is constructed, its backward in `finish`."""

    def __init__(self, instance: LSTMBackend, program: Program, number: int, reused: dict[tuple[Any, ...], Any]) -> None:
        """reused: arrays of earlier calls that may be overwritten."""
        which, inputs = program.calls[number]
        self.steps, self.batch = inputs.x.shape[:2]
        self.reader = HostReader(instance, program.instances[which][0])
        self._instance, self._training = instance, inputs.grad_y is not None
        lengths = None if inputs.lengths is None else inputs.lengths.copy()
        put = _put(instance, program.layout)
        if program.reuse:
            put = _overwriting(put, reused)
        self._arguments = upload(instance, replace(inputs, lengths=lengths), put)
        self._before = _bits_given(instance, self._arguments)
        self.output = call_forward(instance, self._arguments, self._training)

    def finish(self) -> Results:
        """The results, as copies."""
        if self._training:
            self.output = call_backward(self._instance, self._arguments, self.output)
        self._instance.synchronize()
        self._after = _bits_given(self._instance, self._arguments)
        fill_with_nan(self._arguments[0])  # the caller may change x now, so nothing may still depend on it
        return _read(self.reader, self.output, self.steps, self.batch)

    def written_to(self) -> list[str]:
        """The arguments that have changed."""
        return [name for name, bits in self._before.items() if bits != self._after[name]]


def _copied(weights: LSTMWeights) -> LSTMWeights:
    return LSTMWeights(tuple(tuple(replace(w, **{n: np.array(a) for n, a in w.items()}) for w in l) for l in weights.layers))


def _read(reader: HostReader, output: Output, steps: int, batch: int) -> Results:
    """Copies: to_host may give an array that shares the backend's memory."""
    host = reader.read(output, steps, batch)
    results = Results(host.y.copy(), host.state.h.copy(), host.state.c.copy())
    if host.gradients is None:
        return results
    g = host.gradients
    return replace(results, gradients=replace(g, x=g.x.copy(), h0=g.h0.copy(), c0=g.c0.copy(), weights=_copied(g.weights)))


def _put(instance: LSTMBackend, layout: Layout) -> Callable[[Array], Any]:
    """A function that makes the backend's array from a host array, in that layout."""

    def strided(array: Array) -> Any:
        larger = np.full(tuple(2 * n for n in array.shape), np.nan, array.dtype)
        every_other = tuple(slice(None, None, 2) for _ in array.shape)
        larger[every_other] = array
        swapped = np.ascontiguousarray(larger.swapaxes(0, 1))
        try:
            return instance.to_device(swapped)[every_other].swapaxes(0, 1)
        except (TypeError, AttributeError):  # the array type has no such views: start from a strided host array
            return instance.to_device(swapped[every_other].swapaxes(0, 1))

    def plain(array: Array) -> Any:
        copy = np.array(array, order="C")
        copy.flags.writeable = layout != "read-only"
        return instance.to_device(copy)

    return strided if layout == "strided" else plain


def _overwriting(put: Callable[[Array], Any], reused: dict[tuple[Any, ...], Any]) -> Callable[[Array], Any]:
    """`put` that writes each array of a call into the previous one of the same position and shape."""
    count = 0

    def overwrite(array: Array) -> Any:
        nonlocal count
        count += 1
        new, key = put(array), (count, array.shape)
        try:
            reused.setdefault(key, new)[...] = new
        except (TypeError, ValueError, RuntimeError):  # an array that cannot be written to
            reused[key] = new
        return reused[key]

    return overwrite


def _bits_given(instance: LSTMBackend, arguments: tuple[Any, ...]) -> dict[str, bytes]:
    """The bytes of every array passed to a call, by name."""
    x, state, lengths, *back = arguments
    arrays = {"x": x, "state.h": state.h, "state.c": state.c}
    if back:
        arrays |= {"grad_y": back[0], "grad_state.h": back[1].h, "grad_state.c": back[1].c}
    bits = {name: np.asarray(instance.to_host(array)).tobytes() for name, array in arrays.items()}
    return bits if lengths is None else bits | {"lengths": lengths.tobytes()}
