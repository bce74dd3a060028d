"""Inputs that are written, results that are kept or changed later, stale answers, uninitialised buffers, leaks."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Any, ClassVar

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMGradients, LSTMState
from lstm_parity.backends.problem import Array

from ..fault import LENGTHS, TRAINED, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Run

memory = partial(fault, "memory", hint=False)


def afterwards(change: Any) -> Any:
    """run: as it should be, then change(x, state, lengths, the final state)."""

    def run(lstm: Any, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        y, last = CorrectLSTM.run(lstm, x, state, lengths, training)
        change(x, state, lengths, last)
        return y, last

    return run


def double(x: Array, *_: Any) -> None:
    """x doubled in place if it can be written."""
    if x.flags.writeable:
        x *= 2


def sort(x: Array, state: LSTMState, lengths: Array | None, last: LSTMState) -> None:
    """The lengths sorted in place."""
    if lengths is not None:
        lengths.sort()


def added_in_place(lstm: Any, w: DirectionWeights) -> Array | None:
    """The biases added up in the caller's b_ih."""
    if w.b_ih is None or w.b_hh is None:
        return None
    np.add(w.b_ih, w.b_hh, out=w.b_ih)
    return np.array(w.b_ih)


def writable_demanded(lstm: Any, x: Array, mask: Array | None) -> Array:
    """Raises ValueError for a read-only x."""
    if not x.flags.writeable:
        raise ValueError("x must be writable")
    return CorrectLSTM.first_input(lstm, x, mask)


def y_in_buffer(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """y in a buffer for each shape."""
    buffer = lstm.kept.setdefault(y.shape, y)
    buffer[...] = y
    return buffer, h, c


def states_in_buffer(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """h_n and c_n in buffers for each shape."""
    buffer = lstm.kept.setdefault(h.shape, (h, c))
    buffer[0][...], buffer[1][...] = h, c
    return y, *buffer


def cut_to_first_batch(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """Zeros for the rows past the batch of the first call with as many steps."""
    y[:, lstm.kept.setdefault(len(y), y.shape[1]) :] = 0
    return y, h, c


def stale_tail(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """The end of a shorter sequence's y added to this one's."""
    before = lstm.kept.get(y.shape[1:])
    if before is not None and len(before) < len(y):
        y[len(before)] += before[-1]
    lstm.kept[y.shape[1:]] = y.copy()
    return y, h, c


class BufferSharedByInstances(CorrectLSTM):
    """Has a buffer for y in the class."""

    shared: ClassVar[dict[Any, Array]] = {}

    def returned(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        if y.shape not in self.shared:
            self.shared.clear()
        buffer = self.shared.setdefault(y.shape, y)
        buffer[...] = y
        return buffer, h, c


class ReturnedStateReadBack(CorrectLSTM):
    """Keeps the h_n that it returns."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        given = np.array(state.h)
        if "given" in self.kept and np.array_equal(given, self.kept["given"]):
            h = given.copy()
            h[..., -1] = self.kept["returned"][..., -1]
            state = LSTMState(h, state.c)
        y, last = super().run(x, state, lengths, training)
        self.kept.update(given=given, returned=last.h)
        return y, last


def cached(key: Any, copy: bool = True) -> Any:
    """run: the answer of the call before, where key(x, state) is the same."""

    def run(lstm: Any, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        found = key(x, state)
        if found not in lstm.kept:
            lstm.kept = {found: CorrectLSTM.run(lstm, x, state, lengths, training)}
        y, last = lstm.kept[found]
        return (y.copy(), LSTMState(last.h.copy(), last.c.copy())) if copy else (y, last)

    return run


class TailUninitialised(CorrectLSTM):
    """Does not write the last unit of y."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        y, h_n, c_n, run = super().run_direction(p, x, h, c, mask, training)
        out = np.empty(y.shape, y.dtype)
        out[:, :, :-1] = y[:, :, :-1]
        return out, h_n, c_n, run


class LazyArray(np.ndarray[Any, Any]):
    """An array that is none, to those who ask for its type."""


def keeping(what: Any) -> Any:
    """returned: what(y) is added to a list that only grows."""

    def returned(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        lstm.kept.setdefault("all", []).append(what(y))
        return y, h, c

    return returned


def allocated(y: Array) -> None:
    """Memory for another y, not given back."""
    ctypes.CDLL(None).malloc(ctypes.c_size_t(y.nbytes))


class EveryInputKept(CorrectLSTM):
    """Keeps every x."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        self.kept.setdefault("all", []).append(x)
        return super().run(x, state, lengths, training)


class EveryTraceKept(CorrectLSTM):
    """Keeps what every training forward leaves."""

    def backward(self, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        self.kept.setdefault("all", []).append(self.trace)
        return super().backward(grad_y, grad_state)


FAULTS = (
    memory("input-written", "x is overwritten with zeros", run=afterwards(lambda x, *_: x.fill(0))),
    memory("writable-input-scaled", "x is doubled in place if it can be written", run=afterwards(double)),
    memory(
        "state-updated-in-place",
        "c0 is overwritten with c_n",
        run=afterwards(lambda x, state, lengths, last: np.copyto(state.c, last.c)),
    ),
    memory("lengths-written", "the caller's lengths are sorted in place afterwards", needs=LENGTHS, run=afterwards(sort)),
    memory(
        "weights-written",
        "the biases are added up in the caller's b_ih, so that a second instance adds b_hh again",
        bias=added_in_place,
    ),
    memory("read-only-input-refused", "an x that cannot be written is refused", first_input=writable_demanded),
    memory(
        "output-buffer-reused",
        "y is a buffer of the instance, overwritten by the next call of the same shape",
        returned=y_in_buffer,
    ),
    memory(
        "final-state-buffer-reused",
        "h_n and c_n are buffers of the instance, overwritten by the next call of the same batch size",
        returned=states_in_buffer,
    ),
    memory("buffer-shared-by-instances", "y is a buffer that all instances share", base=BufferSharedByInstances),
    memory(
        "returned-state-read-back",
        "the h_n returned is kept, and its last unit is read as h0 where the next call gives the same h0 again",
        base=ReturnedStateReadBack,
    ),
    memory(
        "answer-kept-by-shape",
        "a call gets the answer of the one before if x has the same shape",
        run=cached(lambda x, state: x.shape),
    ),
    memory(
        "answer-kept-by-address",
        "a call gets the answer of the one before if x has the same address and the same shape",
        run=cached(lambda x, state: (x.shape, x.__array_interface__["data"][0])),
    ),
    memory(
        "answer-kept-by-input",
        "a call gets the answer of the one before if x is the same, whatever its state",
        run=cached(lambda x, state: (x.shape, x.tobytes())),
    ),
    memory(
        "answer-handed-out-again",
        "the same call gets the very arrays that were returned before",
        run=cached(lambda x, state: (x.shape, x.tobytes(), state.h.tobytes(), state.c.tobytes()), copy=False),
    ),
    memory(
        "steps-cached-without-length",
        "the number of steps is cached for the input size alone: a longer sequence is cut to the first one's length",
        after="tensorflow 41630",
        order=lambda lstm, steps: range(min(steps, lstm.kept.setdefault("steps", steps))),
    ),
    memory(
        "buffer-cached-without-batch",
        "the buffer for y is cached by the length alone: of a larger batch, the rows past the first one's are 0",
        final=cut_to_first_batch,
    ),
    memory(
        "stale-tail",
        "the buffer for y only grows: what a shorter sequence left in it is added to what comes after",
        final=stale_tail,
    ),
    memory("tail-uninitialised", "the last unit of y is never written", base=TailUninitialised),
    memory(
        "subclass-returned", "y is an instance of a subclass of ndarray", returned=lambda _, y, h, c: (y.view(LazyArray), h, c)
    ),
    memory("wider-dtype-returned", "y is returned in float64", returned=lambda _, y, h, c: (y.astype(np.float64), h, c)),
    memory("every-input-kept", "every x is kept", base=EveryInputKept),
    memory("every-output-kept", "every y is kept", returned=keeping(lambda y: y)),
    memory(
        "every-trace-kept", "what a training forward leaves for backward is kept after it", needs=TRAINED, base=EveryTraceKept
    ),
    memory("kibibyte-kept", "an object of 1 KiB is kept for each call", returned=keeping(lambda y: bytes(1024))),
    memory(
        "buffer-never-freed", "memory as large as y is allocated in each call, and not given back", returned=keeping(allocated)
    ),
)
