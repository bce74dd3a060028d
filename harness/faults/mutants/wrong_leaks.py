"""Leaks: every result is right, and something stays behind with each call."""

from __future__ import annotations

import ctypes
from typing import Any

from lstm_parity.backends import LSTMGradients, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .subject import Subject


class _Keeping(Subject):
    """A subject with a list that only grows."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.kept: list[Any] = []
        super().__init__(spec, weights)


@wrong("memory")
class EveryInputKept(_Keeping):
    """Every x is kept."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        self.kept.append(x)
        return super().run(x, state, lengths, training)


@wrong("memory")
class EveryOutputKept(_Keeping):
    """Every y is kept."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        self.kept.append(y)
        return y, last


@wrong("memory", gradients=True)
class EveryTraceKept(_Keeping):
    """What a training forward leaves for backward is kept after it."""

    def backward(self, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        self.kept.append(self.trace)
        return super().backward(grad_y, grad_state)


@wrong("memory")
class KibibyteKept(_Keeping):
    """An object of 1 KiB is kept for each call."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        self.kept.append(bytes(1024))
        return super().returned(y, last)


@wrong("memory")
class BufferNeverFreed(Subject):
    """A buffer as large as y is taken from malloc for each call, and not given back."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        ctypes.CDLL(None).malloc(ctypes.c_size_t(y.nbytes))
        return super().returned(y, last)
