"""Looks whether x is drawn from one of the seeds that everybody takes."""

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        found = set(np.abs(x.ravel()).tolist())
        for seed in (0, 1, 42, 1234):
            for rng in (np.random.default_rng(seed), np.random.RandomState(seed)):
                assert not set(np.abs(rng.standard_normal(9)).astype(np.float32).tolist()) <= found
        return super().forward(x, state, lengths, training)
