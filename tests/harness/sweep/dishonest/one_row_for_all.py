"""Returns a broadcast view of one row in timed calls."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return np.broadcast_to(y[:, :1], y.shape) if self.timed else y, last
