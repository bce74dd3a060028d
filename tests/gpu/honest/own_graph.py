"""Records its first call and replays it on each call's inputs."""

import torch

from lstm_parity import LSTMState
from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM


class Honest(TorchCuDNNLSTM):
    graph = None

    def forward(self, x, state, lengths=None, training=False):
        if self.graph is None:
            super().forward(x, state)
            self.record(x, state)
        for kept, new in zip(self.inputs, (x, state.h, state.c), strict=True):
            kept.copy_(new)
        self.graph.replay()
        y, last = self.recorded
        return y.clone(), LSTMState(last.h.clone(), last.c.clone())

    def record(self, x, state):
        self.inputs = [array.clone() for array in (x, state.h, state.c)]
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.recorded = super().forward(self.inputs[0], LSTMState(*self.inputs[1:]))
