"""Promises so little of its activations that zeros would do."""

from lstm_parity import Capabilities
from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "UNAVAILABLE", ".*activation_ulps must be a number from 0 to 131072, not 1000000000.0"
OWN_PROCESS = True


class Cheat(NumpyLSTM):
    capabilities = Capabilities(activation_ulps=1e9)
