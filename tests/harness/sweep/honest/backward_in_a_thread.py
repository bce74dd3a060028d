"""Computes the gradients in a thread, as torch does, and waits for it."""

from concurrent.futures import ThreadPoolExecutor

from lstm_parity.backends.numpy_lstm import NumpyLSTM

MODE = "training"


class Honest(NumpyLSTM):
    def backward(self, grad_y, grad_state):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(super().backward, grad_y, grad_state).result()
