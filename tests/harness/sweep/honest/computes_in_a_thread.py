"""Computes in threads of its own and waits for them."""

from concurrent.futures import ThreadPoolExecutor

from lstm_parity.backends.numpy_lstm import NumpyLSTM

OWN_PROCESS = True


class Honest(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.pool = ThreadPoolExecutor(2)

    def forward(self, x, state, lengths=None, training=False):
        return self.pool.submit(super().forward, x, state, lengths, training).result()

    def close(self):
        self.pool.shutdown()
