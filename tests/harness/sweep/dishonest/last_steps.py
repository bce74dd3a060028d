"""Repeats a step in place of the last two in timed calls."""

from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.timed:
            y[-2:] = y[-3]
        return y, last
