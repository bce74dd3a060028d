"""Looks for one step of one row of x that it has seen in an earlier call, or twice in this one."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.seen = set()

    def forward(self, x, state, lengths=None, training=False):
        steps = {row.tobytes() for step in x for row in step}
        assert len(steps) == x.shape[0] * x.shape[1]
        assert self.seen.isdisjoint(steps)
        self.seen |= steps
        return super().forward(x, state, lengths, training)
