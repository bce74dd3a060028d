"""Captures its call in a graph and replays it for one call of 64: the next 63 return copies of that result."""

import torch

from lstm_parity import LSTMState
from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = "WRONG"
CALLS = 64


class Cheat(TorchCuDNNLSTM):
    graph, calls = None, 0

    def forward(self, x, state, lengths=None, training=False):
        if self.graph is None:
            super().forward(x, state)
            self.record(x, state)
        if self.calls % CALLS == 0:
            for kept, new in zip(self.inputs, (x, state.h, state.c), strict=True):
                kept.copy_(new)
            self.graph.replay()
        self.calls += 1
        y, last = self.recorded
        return y.clone(), LSTMState(last.h.clone(), last.c.clone())

    def record(self, x, state):
        self.inputs = [array.clone() for array in (x, state.h, state.c)]
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.recorded = super().forward(self.inputs[0], LSTMState(*self.inputs[1:]))
