"""Promises a GPU and computes on the CPU with NumPy."""

from lstm_parity import Capabilities
from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "UNSUPPORTED", "CUDA arrays of numpy cannot be timed; .*"


class Cheat(NumpyLSTM):
    capabilities = Capabilities(device="cuda")
