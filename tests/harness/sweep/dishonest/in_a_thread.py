"""Returns before its thread has written y."""

import threading

import numpy as np
from cheating import CountingLSTM, work

STATUS, REASON = "WRONG", r"(in timed call \d+: )?y.*"
OWN_PROCESS = True


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        right, last = super().forward(x, state, lengths, training)
        if not self.timed:
            return right, last
        y = np.zeros_like(right)
        threading.Thread(target=lambda: (work(3e-4), np.copyto(y, right))).start()
        return y, last
