"""Returns a subclass of ndarray in timed calls."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON = "WRONG", "y is a memmap, expected .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return y.view(np.memmap) if self.timed else y, last
