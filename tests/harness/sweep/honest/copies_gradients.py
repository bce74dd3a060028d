"""Copies whatever it is given or returns, in a training step, too."""

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM

MODE = "training"


class Honest(NumpyLSTM):
    def to_device(self, array):
        return np.array(array)

    def to_host(self, array):
        return np.array(array)
