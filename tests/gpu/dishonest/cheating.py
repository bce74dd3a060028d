"""What the dishonest backends share: a count of their calls, and results that are computed when they are read."""

import torch

from lstm_parity import LSTMState
from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM


class CountingLSTM(TorchCuDNNLSTM):
    """Knows whether a call is timed: the first one is not, and its result is checked."""

    calls = 0

    def forward(self, x, state, lengths=None, training=False):
        self.calls += 1
        return super().forward(x, state, lengths, training)

    @property
    def timed(self):
        return self.calls > 1


class DeferringLSTM(TorchCuDNNLSTM):
    """Returns memory that has not been written to, and writes it when y is read."""

    def __init__(self, spec, weights):
        self.pending = {}
        super().__init__(spec, weights)

    def forward(self, x, state, lengths=None, training=False):
        y = x.new_empty((*x.shape[:2], self._spec.hidden_size))
        last = LSTMState(torch.empty_like(state.h), torch.empty_like(state.c))

        def fill():
            found, found_last = super(DeferringLSTM, self).forward(x, state)
            y.copy_(found)
            last.h.copy_(found_last.h)
            last.c.copy_(found_last.c)
            torch.cuda.synchronize()

        self.pending[id(y)] = self.start(fill)
        return y, last

    def start(self, fill):
        """What is called when y is read."""
        return fill

    def to_host(self, array):
        if id(array) in self.pending:
            self.pending.pop(id(array))()
        return super().to_host(array)
