"""Works on another stream, for which nothing waits but `synchronize`."""

import torch

from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM

STATUS = "SUSPECT"
REASON = ".* s on the stream, but .* s until the device was done|.* GFLOP/s, but the peak measured here is .*"


class Cheat(TorchCuDNNLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.side = torch.cuda.Stream()

    def forward(self, x, state, lengths=None, training=False):
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            return super().forward(x, state)

    def synchronize(self):
        self.side.synchronize()
