"""Wrong memory: inputs written, results kept or changed later, stale answers, buffers of the wrong size, never initialised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed, Run
from .subject import Subject


class _Kept(Subject):
    """A subject that keeps something from call to call."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.kept: dict[Any, Any] = {}
        super().__init__(spec, weights)


@wrong("memory")
class InputWritten(Subject):
    """x is overwritten with zeros."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        result = super().run(x, state, lengths, training)
        x[...] = 0
        return result


@wrong("memory")
class WritableInputScaled(Subject):
    """x is doubled in place if it can be written, and computed with as it was."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        result = super().run(x, state, lengths, training)
        if x.flags.writeable:
            x *= 2
        return result


@wrong("memory")
class StateUpdatedInPlace(Subject):
    """c0 is overwritten with c_n."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        y, last = super().run(x, state, lengths, training)
        state.c[...] = last.c
        return y, last


@wrong("memory", lengths=True)
class LengthsWritten(Subject):
    """The caller's lengths are sorted in place afterwards."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        result = super().run(x, state, lengths, training)
        if lengths is not None:
            lengths.sort()
        return result


@wrong("memory")
class WeightsWritten(Subject):
    """The biases are added up in the caller's b_ih, so that a second instance adds b_hh again."""

    def bias(self, w: DirectionWeights) -> Array | None:
        if w.b_ih is None or w.b_hh is None:
            return None
        np.add(w.b_ih, w.b_hh, out=w.b_ih)
        return np.array(self.load(w.b_ih))


@wrong("memory")
class ReadOnlyInputRefused(Subject):
    """An x that cannot be written is refused."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        if not x.flags.writeable:
            raise ValueError("x must be writable")
        return super().run(x, state, lengths, training)


@wrong("memory")
class OutputBufferReused(_Kept):
    """y is a buffer of the instance, overwritten by the next call of the same shape."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        buffer = self.kept.setdefault(y.shape, y)
        buffer[...] = y
        return buffer, last


@wrong("memory")
class FinalStateBufferReused(_Kept):
    """h_n and c_n are buffers of the instance, overwritten by the next call of the same batch size."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        buffer = self.kept.setdefault(last.h.shape, last)
        buffer.h[...], buffer.c[...] = last.h, last.c
        return y, buffer


@wrong("memory")
class BufferSharedByInstances(Subject):
    """y is a view of a buffer that all instances share."""

    shared: ClassVar[dict[Any, Array]] = {}

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        if y.shape not in self.shared:
            self.shared.clear()
        buffer = self.shared.setdefault(y.shape, y)
        buffer[...] = y
        return buffer, last


@wrong("memory")
class ReturnedStateReadBack(_Kept):
    """The h_n returned is kept, and its last unit is read as h0 where the next call gives the same h0 again."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        given = np.array(state.h)
        if "given" in self.kept and np.array_equal(given, self.kept["given"]):
            h = given.copy()
            h[..., -1] = self.kept["returned"][..., -1]
            state = LSTMState(h, state.c)
        y, last = super().run(x, state, lengths, training)
        self.kept.update(given=given, returned=last.h)
        return y, last


class _Cached(_Kept):
    """A cache of whole answers."""

    def key(self, x: Array, state: LSTMState) -> Any:
        """What an answer is found by."""
        return None

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        key = self.key(x, state)
        if key not in self.kept:
            self.kept = {key: super().run(x, state, lengths, training)}
        y, last = self.kept[key]
        return (y, last) if self.handed_out else (y.copy(), LSTMState(last.h.copy(), last.c.copy()))

    handed_out: ClassVar[bool] = False


@wrong("memory")
class AnswerKeptByShape(_Cached):
    """A call gets the answer of the one before if x has the same shape."""

    def key(self, x: Array, state: LSTMState) -> Any:
        return x.shape


@wrong("memory")
class AnswerKeptByAddress(_Cached):
    """A call gets the answer of the one before if x lies where it lay and has the same shape."""

    def key(self, x: Array, state: LSTMState) -> Any:
        return x.shape, x.__array_interface__["data"][0]


@wrong("memory")
class AnswerKeptByInput(_Cached):
    """A call gets the answer of the one before if x is the same, whatever its state."""

    def key(self, x: Array, state: LSTMState) -> Any:
        return x.shape, x.tobytes()


@wrong("memory")
class AnswerHandedOutAgain(_Cached):
    """The same call gets the very arrays that were returned before."""

    handed_out = True

    def key(self, x: Array, state: LSTMState) -> Any:
        return x.shape, x.tobytes(), state.h.tobytes(), state.c.tobytes()


@wrong("memory", after="tensorflow 41630")
class StepsCachedWithoutLength(_Kept):
    """The list of steps is cached for the input size alone: a longer sequence is cut to the first one's length."""

    def order(self, steps: int) -> Iterable[int]:
        return range(min(steps, self.kept.setdefault("steps", steps)))


@wrong("memory")
class BufferCachedWithoutBatch(_Kept):
    """The buffer for y is cached by the length alone: of a larger batch, the rows past the first one's are left at 0."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        y[:, self.kept.setdefault(len(y), y.shape[1]) :] = 0
        return y, h, c


@wrong("memory")
class StaleTail(_Kept):
    """The buffer for y only grows: what a shorter sequence left in it is added to what comes after."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        before = self.kept.get(y.shape[1:])
        if before is not None and len(before) < len(y):
            y[len(before)] += before[-1]
        self.kept[y.shape[1:]] = y.copy()
        return y, h, c


@wrong("memory")
class TailUninitialised(Subject):
    """The last unit of y is never written: it is what the memory held."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        y, h_n, c_n, run = super().run_direction(p, x, h, c, mask, training)
        out = np.empty(y.shape, y.dtype)
        out[:, :, :-1] = y[:, :, :-1]
        return out, h_n, c_n, run


class LazyArray(np.ndarray[Any, Any]):
    """An array that is none, to those who ask for its type."""


@wrong("memory")
class SubclassReturned(Subject):
    """y is an instance of a subclass of ndarray."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        return y.view(LazyArray), last


@wrong("memory")
class WiderDtypeReturned(Subject):
    """y is returned in float64 where float32 is stored."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        return y.astype(np.float64), last
