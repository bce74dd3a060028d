"""Patches time.perf_counter to stand still. The harness uses the clock that it saved before: timed in full."""

import time

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON, MIN_MEDIAN_S = "TIMED", ".*", 1e-5
OWN_PROCESS = True


class Cheat(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        time.perf_counter = lambda: 0.0
        return super().forward(x, state, lengths, training)
