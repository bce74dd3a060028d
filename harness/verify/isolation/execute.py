"""Carries out a program on a backend class: constructs instances, makes calls, and notices whatever changed."""

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
    """Carry the program out. Raises FormError for results of the wrong form, and whatever the backend raises."""
    if program.repeat:
        return _repeat(backend, program)
    given = [(spec, _copied(weights)) for spec, weights in program.instances]
    instances = [backend(spec, weights) for spec, weights in given]
    remarks: list[str] = []
    results: list[Results] = []
    kept: list[tuple[HostReader, Output, int, int]] = []
    try:
        held: dict[tuple[Any, ...], Any] = {}
        begun = (_Call(instances[which], program, number, held) for number, (which, _) in enumerate(program.calls))
        for number, one in enumerate(list(begun) if program.interleaved else begun, 1):
            results.append(one.finish())
            remarks += [f"call {number} wrote to {name}" for name in one.written_to()]
            if program.keep:
                kept.append((one.reader, one.output, one.steps, one.batch))
            else:
                poison([one.output])
        for number, (then, (reader, output, steps, batch)) in enumerate(zip(results, kept, strict=False), 1):
            old, new = then.tensors(), _read(reader, output, steps, batch).tensors()
            changed = [name for name in old if old[name].tobytes() != new[name].tobytes()]
            remarks += [f"{name} of call {number} was changed by a later call" for name in changed]
        for (_, original), (_, weights) in zip(program.instances, given, strict=True):
            pairs = zip(original.items(), weights.items(), strict=True)
            remarks += [f"{path} was written to" for (path, a), (_, b) in pairs if a.tobytes() != b.tobytes()]
    finally:
        for instance in instances:
            instance.close()
    return ProgramResult(tuple(results), tuple(remarks))


def _repeat(backend: type[LSTMBackend], program: Program) -> ProgramResult:
    """Nothing is kept here between calls, so that any growth is the backend's."""
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

    def __init__(self, instance: LSTMBackend, program: Program, number: int, held: dict[tuple[Any, ...], Any]) -> None:
        """held: arrays of earlier calls that may be overwritten."""
        which, inputs = program.calls[number]
        self.steps, self.batch = inputs.x.shape[:2]
        self.reader = HostReader(instance, program.instances[which][0])
        self._instance, self._training = instance, inputs.grad_y is not None
        lengths = None if inputs.lengths is None else inputs.lengths.copy()
        put = _put(instance, program.layout)
        if program.reuse:
            put = _overwriting(put, held)
        self._arguments = upload(instance, replace(inputs, lengths=lengths), put)
        self._before = _bits_given(instance, self._arguments)
        self.output = call_forward(instance, self._arguments, self._training)

    def finish(self) -> Results:
        """The results, as copies."""
        if self._training:
            self.output = call_backward(self._instance, self._arguments, self.output)
        self._instance.synchronize()
        self._after = _bits_given(self._instance, self._arguments)
        fill_with_nan(self._arguments[0])  # x is the caller's again, and nothing may still depend on it
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
    """Makes the backend's array from a host array, in that layout."""

    def strided(array: Array) -> Any:
        larger = np.full(tuple(2 * n for n in array.shape), np.nan, array.dtype)
        every_other = tuple(slice(None, None, 2) for _ in array.shape)
        larger[every_other] = array
        swapped = np.ascontiguousarray(larger.swapaxes(0, 1))
        try:
            return instance.to_device(swapped)[every_other].swapaxes(0, 1)
        except (TypeError, AttributeError):  # the array type has no such views: make it from a strided host array
            return instance.to_device(swapped[every_other].swapaxes(0, 1))

    def plain(array: Array) -> Any:
        copy = np.array(array, order="C")
        copy.flags.writeable = layout != "read-only"
        return instance.to_device(copy)

    return strided if layout == "strided" else plain


def _overwriting(put: Callable[[Array], Any], held: dict[tuple[Any, ...], Any]) -> Callable[[Array], Any]:
    """Writes each array of a call into the last one of the same position and shape."""
    count = 0

    def over(array: Array) -> Any:
        nonlocal count
        count += 1
        new, place = put(array), (count, array.shape)
        if place not in held:
            held[place] = new
        try:
            held[place][...] = new
        except (TypeError, ValueError, RuntimeError):  # an array that cannot be written to
            held[place] = new
        return held[place]

    return over


def _bits_given(instance: LSTMBackend, arguments: tuple[Any, ...]) -> dict[str, bytes]:
    """Every array that a call gets, by name and by value."""
    x, state, lengths, *back = arguments
    arrays = {"x": x, "state.h": state.h, "state.c": state.c}
    if back:
        arrays |= {"grad_y": back[0], "grad_state.h": back[1].h, "grad_state.c": back[1].c}
    bits = {name: np.asarray(instance.to_host(array)).tobytes() for name, array in arrays.items()}
    return bits if lengths is None else bits | {"lengths": lengths.tobytes()}
