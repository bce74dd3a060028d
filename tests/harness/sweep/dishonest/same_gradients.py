"""Returns the first call's gradient of x again."""

from dataclasses import replace

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON, MODE = "WRONG", r"in timed call \d+: gradient of x .*nan.*", "training"


class Cheat(NumpyLSTM):
    first = None

    def backward(self, grad_y, grad_state):
        gradients = super().backward(grad_y, grad_state)
        if self.first is None:
            self.first = gradients.x
        return replace(gradients, x=self.first)
