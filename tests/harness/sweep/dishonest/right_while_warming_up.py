"""Is right in the first three calls only: the check and the two samples that do not count."""

from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.calls > 3:
            y[...] = 0
        return y, last
