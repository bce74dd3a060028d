"""Returns NaN in timed calls: NaN is not larger than any bound."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: y .* got nan.*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.timed:
            y[1:, 1:] = np.nan
        return y, last
