"""Returns one NaN in the gradient of W_hh in timed calls."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON, MODE = "WRONG", r"in timed call \d+: .*w_hh.* nan.*", "training"


class Cheat(CountingLSTM):
    def backward(self, grad_y, grad_state):
        gradients = super().backward(grad_y, grad_state)
        if self.timed:
            gradients.weights.layers[0][0].w_hh[-1, -1] = np.nan
        return gradients
