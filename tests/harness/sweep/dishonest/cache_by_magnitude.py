"""Caches rows by |x|, which is the same in calls whose inputs differ in signs only."""

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.cache = {}

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        for row in range(x.shape[1]):
            y[:, row] = self.cache.setdefault(np.abs(x[:, row]).tobytes(), y[:, row].copy())
        return y, last
