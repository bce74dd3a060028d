"""Computes float32 in TF32."""

from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = "WRONG"


class Cheat(TorchCuDNNLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self._switches = [(of, name, "tf32" if value == "ieee" else value) for of, name, value in self._switches]
