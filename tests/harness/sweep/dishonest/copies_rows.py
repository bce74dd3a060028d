"""Computes half of the rows in timed calls and copies them to the others."""

from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.timed:
            y[:, 4:] = y[:, :4]
        return y, last
