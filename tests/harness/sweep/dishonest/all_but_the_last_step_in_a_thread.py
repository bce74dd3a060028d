"""Returns with the last step alone computed; the rest, as if written by a thread, is there at the second read."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON = "WRONG", "y, a state or a gradient was not there yet, or changed, after the call had returned"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        self.late, self.reads = (y, y.copy()), 0
        if self.timed:
            y[:-1] = 0
        return y, last

    def to_host(self, array):
        if array is self.late[0]:
            self.reads += 1
            if self.reads > 1:
                np.copyto(*self.late)
        return array
