"""Looks for inputs to come in the arrays that it was given for earlier calls."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.given = []

    def forward(self, x, state, lengths=None, training=False):
        assert all((now == then).all() for now, then in self.given)
        self.given.append((x, x.copy()))
        return super().forward(x, state, lengths, training)
