"""Fills x with zeros once it has read it."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        result = super().forward(x, state, lengths, training)
        x[...] = 0
        return result
