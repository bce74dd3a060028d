"""Has an array type of its own."""

from lstm_parity import LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Box:
    def __init__(self, array):
        self.array = array

    def __setitem__(self, where, value):
        self.array[where] = value


class Honest(NumpyLSTM):
    def to_device(self, array):
        return Box(array)

    def to_host(self, array):
        return array.array

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x.array, LSTMState(state.h.array, state.c.array), lengths, training)
        return Box(y), LSTMState(Box(last.h), Box(last.c))
