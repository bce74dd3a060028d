"""Looks for a row's initial c that it has seen in an earlier call, or twice in this one."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM


class Honest(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.seen = set()

    def forward(self, x, state, lengths=None, training=False):
        rows = {row.tobytes() for row in state.c[0]}
        assert len(rows) == len(state.c[0])
        assert self.seen.isdisjoint(rows)
        self.seen |= rows
        return super().forward(x, state, lengths, training)
