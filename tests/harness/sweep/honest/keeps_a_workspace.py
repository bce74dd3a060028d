"""Allocates its workspace in the first call, keeps it, and never returns it."""

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    workspace = None

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.workspace is None:
            self.workspace = np.empty((*y.shape, 4), y.dtype)
        self.workspace[..., 0] = y
        return self.workspace[..., 0].copy(), last
