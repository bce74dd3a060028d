"""Has no array when a result is read once, and computes when it is read again."""

import numpy as np
from cheating import work

from lstm_parity import LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "WRONG", "to_host gave a NoneType for what a timed call returned, expected a NumPy array"


class Cheat(NumpyLSTM):
    calls, returned, seen = 0, (), ()

    def forward(self, x, state, lengths=None, training=False):
        self.calls += 1
        self.arguments, self.seen = (x, state), set()
        y = np.empty((*x.shape[:2], state.c.shape[2]), x.dtype)
        last = LSTMState(np.empty_like(state.h), np.empty_like(state.c))
        self.returned = (y, last.h, last.c)
        work(0.0005)
        return y, last

    def to_host(self, array):
        for k, returned in enumerate(self.returned):
            if array is returned:
                if self.calls > 1 and k not in self.seen:
                    self.seen.add(k)
                    return None
                y, last = super().forward(*self.arguments)
                return (y, last.h, last.c)[k]
        return array
