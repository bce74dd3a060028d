"""Returns memory that it has not written, where the answer of an earlier call may still be."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: y .*"
OWN_PROCESS = True


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return np.empty_like(y) if self.timed else y, last
