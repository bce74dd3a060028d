"""Returns a subclass of torch.Tensor."""

import torch

from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = "WRONG"


class Lazy(torch.Tensor):
    pass


class Cheat(TorchCuDNNLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state)
        return y.as_subclass(Lazy), last
