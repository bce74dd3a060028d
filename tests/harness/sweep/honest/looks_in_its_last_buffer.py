"""Looks for an answer in the array that it returned before."""

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    last = None

    def forward(self, x, state, lengths=None, training=False):
        assert self.last is None or np.isnan(self.last).all()
        self.last, final = super().forward(x, state, lengths, training)
        return self.last, final
