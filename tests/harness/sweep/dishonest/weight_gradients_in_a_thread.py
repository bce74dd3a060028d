"""Returns with dW_hh not computed; as if written by a thread, it is there at the second read."""

import numpy as np
from cheating import CountingLSTM

STATUS, REASON = "WRONG", "y, a state or a gradient was not there yet, or changed, after the call had returned"
MODE = "training"


class Cheat(CountingLSTM):
    late, reads = (None, None), 0

    def backward(self, grad_y, grad_state):
        gradients = super().backward(grad_y, grad_state)
        w_hh = gradients.weights.layers[0][0].w_hh
        self.late, self.reads = (w_hh, w_hh.copy()), 0
        if self.timed:
            w_hh[...] = 0
        return gradients

    def to_host(self, array):
        if array is self.late[0]:
            self.reads += 1
            if self.reads > 1:
                np.copyto(*self.late)
        return array
