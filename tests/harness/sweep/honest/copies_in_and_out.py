"""Copies in to_device and in to_host."""

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def to_device(self, array):
        return np.array(array)

    def to_host(self, array):
        return np.array(array)
