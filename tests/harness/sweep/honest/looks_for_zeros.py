"""Looks for inputs that are zero."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        assert x.all()
        assert state.h.all()
        assert state.c.all()
        return super().forward(x, state, lengths, training)
