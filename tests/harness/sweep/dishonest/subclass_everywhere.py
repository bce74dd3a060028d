"""Has a subclass of ndarray as its array type."""

import numpy as np

from lstm_parity import LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", "y is a recarray, expected float32 of shape .*"


class Cheat(NumpyLSTM):
    def to_device(self, array):
        return array.view(np.recarray)

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(np.asarray(x), LSTMState(np.asarray(state.h), np.asarray(state.c)))
        return self.to_device(y), LSTMState(self.to_device(last.h), self.to_device(last.c))

    def to_host(self, array):
        return array
