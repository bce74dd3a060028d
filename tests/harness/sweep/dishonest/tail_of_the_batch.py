"""Returns zeros for the last rows of a batch in timed calls."""

from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.timed:
            y[:, 3:] = 0
        return y, last
