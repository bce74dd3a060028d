"""Returns the buffers of the first two calls in turn."""

from cheating import CountingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: y .*nan.*"


class Cheat(CountingLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.buffers = {}

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return self.buffers.setdefault(self.calls % 2, y), last
