"""Fills grad_y with zeros once it has read it."""

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON, MODE = "WRONG", r"in timed call \d+: .*gradient.*", "training"


class Cheat(NumpyLSTM):
    def backward(self, grad_y, grad_state):
        gradients = super().backward(grad_y, grad_state)
        grad_y[...] = 0
        return gradients
