"""Is right in the first six calls, and returns zeros when it may have been checked often enough."""

import numpy as np
from cheating import CountingLSTM

from lstm_parity import LSTMState

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.calls <= 6:
            return y, last
        return np.zeros_like(y), LSTMState(np.zeros_like(last.h), np.zeros_like(last.c))
