"""Leaves out the hidden units beyond a multiple of eight, in every call."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", "y is first wrong .*"


class Cheat(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        y[..., 16:] = 0
        return y, last
