"""Caches its answers by the shape of x."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.cache = {}

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return self.cache.setdefault(x.shape, (y.copy(), last))
