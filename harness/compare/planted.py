"""The NumPy backend under another name, and one that takes 5% longer, each time: what must be called SAME, and what found."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from lstm_parity.backends import LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM

SLOWDOWN = 0.05


class Same(NumpyLSTM):
    """NumPy's LSTM under another name."""


class Slowed(NumpyLSTM):
    """NumPy's LSTM; when a call is done it stays busy for SLOWDOWN of the time that the call took."""

    def forward(self, x: Any, state: LSTMState, lengths: Any = None, training: bool = False) -> tuple[Any, LSTMState]:
        """See NumpyLSTM.forward."""
        start = perf_counter()
        result = super().forward(x, state, lengths, training)
        end = start + (1 + SLOWDOWN) * (perf_counter() - start)
        while perf_counter() < end:
            pass
        return result
