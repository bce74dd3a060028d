"""Caches its answers by the address of x."""

from lstm_parity import LSTMState
from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = "WRONG"


class Cheat(TorchCuDNNLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.cache = {}

    def forward(self, x, state, lengths=None, training=False):
        y, last = self.cache.setdefault(x.data_ptr(), super().forward(x, state))
        return y.clone(), LSTMState(last.h.clone(), last.c.clone())
