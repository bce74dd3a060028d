"""Computes in one call of 64, and returns copies of that answer in the next 63."""

from cheating import CountingLSTM

from lstm_parity import LSTMState

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.calls % 64 == 1:
            self.answer = (y, last.h, last.c)
        y, h, c = (array.copy() for array in self.answer)
        self.answer = (y.copy(), h.copy(), c.copy())
        return y, LSTMState(h, c)
