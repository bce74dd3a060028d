"""Returns y as a view of an array whose first axis is the batch."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return y.swapaxes(0, 1).copy().swapaxes(0, 1), last
