"""Rounds the gradient of W_ih to float16 in timed calls."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON, MODE = "WRONG", r"in timed call \d+: .*w_ih.*", "training"


class Cheat(CountingLSTM):
    def backward(self, grad_y, grad_state):
        gradients = super().backward(grad_y, grad_state)
        if self.timed:
            w_ih = gradients.weights.layers[0][0].w_ih
            w_ih[...] = w_ih.astype(np.float16)
        return gradients
