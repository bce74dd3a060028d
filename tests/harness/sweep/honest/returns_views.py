"""Returns views of one fresh buffer."""

import numpy as np

from lstm_parity import LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        buffer = np.empty(y.size + 2 * last.h.size, y.dtype)
        parts = np.split(buffer, [y.size, y.size + last.h.size])
        for part, array in zip(parts, (y, last.h, last.c), strict=True):
            part[:] = array.ravel()
        return parts[0].reshape(y.shape), LSTMState(*(part.reshape(last.h.shape) for part in parts[1:]))
