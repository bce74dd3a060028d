"""Patches torch.cuda.Event to say that every call took 0.01 ms."""

import torch

from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = "SUSPECT"
REASON = ".* s on the stream, but .* s until the device was done|.* GFLOP/s, but the peak measured here is .*"


class Cheat(TorchCuDNNLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        torch.cuda.Event.elapsed_time = lambda before, after: 0.01
