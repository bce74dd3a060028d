"""Looks up the call stack whether a clock runs, and returns zeros then."""

import sys

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        frame, names = sys._getframe(), set()
        while frame:
            names.add(frame.f_code.co_name)
            frame = frame.f_back
        if "go" in names:
            y[...] = 0
        return y, last
