"""Returns the buffer of the first call, which held the right answer of that call."""

from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: y .*nan.*"


class Cheat(CountingLSTM):
    buffer = None

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if self.buffer is None:
            self.buffer = y
        return self.buffer, last
