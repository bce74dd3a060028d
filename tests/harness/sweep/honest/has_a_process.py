"""Has a process of its own, which it asks for a byte in each call, and waits for it."""

import os

from lstm_parity.backends.numpy_lstm import NumpyLSTM

OWN_PROCESS = True


class Honest(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        read, self.to_child = os.pipe()
        self.from_child, write = os.pipe()
        if os.fork() == 0:
            os.close(self.to_child)
            while os.read(read, 1):
                os.write(write, b"y")
            os._exit(0)
        os.close(read)

    def forward(self, x, state, lengths=None, training=False):
        os.write(self.to_child, b"x")
        os.read(self.from_child, 1)
        return super().forward(x, state, lengths, training)

    def close(self):
        os.close(self.to_child)
