"""Replays a recorded call on the inputs that it was recorded with."""

import torch
from cheating import CountingLSTM

from lstm_parity import LSTMState

STATUS = "WRONG"


class Cheat(CountingLSTM):
    graph = None

    def forward(self, x, state, lengths=None, training=False):
        if not self.timed:
            result = super().forward(x, state)
            self.record(x, state)
            return result
        self.graph.replay()
        y, last = self.recorded
        return y.clone(), LSTMState(last.h.clone(), last.c.clone())

    def record(self, x, state):
        self.inputs = (x.clone(), LSTMState(state.h.clone(), state.c.clone()))
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.recorded = super().forward(*self.inputs)
