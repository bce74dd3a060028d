"""Scales the gradient of b_ih in place of summing over the whole batch."""

from cheating import CountingLSTM

STATUS, REASON, MODE = "WRONG", r"in timed call \d+: .*b_ih.*", "training"


class Cheat(CountingLSTM):
    def backward(self, grad_y, grad_state):
        gradients = super().backward(grad_y, grad_state)
        if self.timed:
            b_ih = gradients.weights.layers[0][0].b_ih
            b_ih *= b_ih.dtype.type(1.01)
        return gradients
