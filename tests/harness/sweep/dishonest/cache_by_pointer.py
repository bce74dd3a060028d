"""Caches its answers by the address of x, roughly: arrays made one after the other share the upper bits."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.cache = {}

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return self.cache.setdefault(x.ctypes.data >> 28, (y.copy(), last))
