"""Continues when its kernel fails to start, which happens in all calls but the first."""

from contextlib import suppress

import numpy as np
from cheating import CountingLSTM

from lstm_parity import LSTMState

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def launch(self, *arguments):
        if self.timed:
            raise RuntimeError("too many resources requested for launch")
        return arguments

    def forward(self, x, state, lengths=None, training=False):
        right, last = super().forward(x, state, lengths, training)
        y, final = np.zeros_like(right), LSTMState(np.zeros_like(last.h), np.zeros_like(last.c))
        with suppress(RuntimeError):
            y, final = self.launch(right, last)
        return y, final
