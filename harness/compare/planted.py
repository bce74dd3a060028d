"""What `calibrate` compares with the NumPy backend: the same code under another name, and code that is 5% slower."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from lstm_parity.backends import LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM

SLOWDOWN = 0.05


class Same(NumpyLSTM):
    """NumPy's LSTM under another name."""


class Slowed(NumpyLSTM):
    """NumPy's LSTM; after each call it stays busy for SLOWDOWN of the time that the call took."""

    def forward(self, x: Any, state: LSTMState, lengths: Any = None, training: bool = False) -> tuple[Any, LSTMState]:
        """See NumpyLSTM.forward."""
        start = perf_counter()
        result = super().forward(x, state, lengths, training)
        end = start + (1 + SLOWDOWN) * (perf_counter() - start)
        while perf_counter() < end:
            pass
        return result
