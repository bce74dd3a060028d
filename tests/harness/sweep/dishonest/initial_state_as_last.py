"""Returns the initial c as the last one in timed calls."""

from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: c_n .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.timed:
            last.c[...] = state.c
        return y, last
