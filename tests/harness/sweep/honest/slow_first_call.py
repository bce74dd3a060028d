"""Is slow in its first call."""

import time

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    warm = False

    def forward(self, x, state, lengths=None, training=False):
        if not self.warm:
            time.sleep(0.1)
        self.warm = True
        return super().forward(x, state, lengths, training)
