"""Returns zeros, and the right answer when a result is read for the third time."""

import numpy as np
from cheating import CountingLSTM

from lstm_parity import LSTMState

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    reads: dict = {}  # noqa: RUF012

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if not self.timed:
            return y, last
        right = (y, last.h, last.c)
        zeros = [np.zeros_like(array) for array in right]
        self.reads = {id(zero): [0, array] for zero, array in zip(zeros, right, strict=True)}
        return zeros[0], LSTMState(*zeros[1:])

    def to_host(self, array):
        if id(array) not in self.reads:
            return array
        self.reads[id(array)][0] += 1
        return array if self.reads[id(array)][0] < 3 else self.reads[id(array)][1]
