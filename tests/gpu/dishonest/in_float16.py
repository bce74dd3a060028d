"""Computes float32 in float16."""

import copy

import torch

from lstm_parity import LSTMState
from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = "WRONG"


class Cheat(TorchCuDNNLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.half = copy.deepcopy(self._module).half()

    def forward(self, x, state, lengths=None, training=False):
        with torch.no_grad():
            y, (h, c) = self.half(x.half(), (state.h.half(), state.c.half()))
        return y.float(), LSTMState(h.float(), c.float())
