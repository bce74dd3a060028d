"""Has its arrays in the host's memory."""

import torch

from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = ("WRONG", "UNSUPPORTED", "CRASHED")


class Cheat(TorchCuDNNLSTM):
    def to_device(self, array):
        return torch.from_numpy(array.copy())
