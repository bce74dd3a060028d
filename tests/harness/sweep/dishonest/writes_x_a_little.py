"""Scales x by 1.001 once it has read it."""

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        result = super().forward(x, state, lengths, training)
        x *= np.float32(1.001)
        return result
