"""Keeps two cores busy where each backend was given one thread."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "SUSPECT", r"it kept [12]\.\d cores busy, and all backends were given 1 thread"
OWN_PROCESS = True
CORES = sorted(os.sched_getaffinity(0))


def half(k):
    os.sched_setaffinity(0, [CORES[k % len(CORES)]])
    hashlib.pbkdf2_hmac("sha256", b"", b"", 30000)


class Cheat(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.pool = ThreadPoolExecutor(2)

    def forward(self, x, state, lengths=None, training=False):
        list(self.pool.map(half, range(2)))
        return super().forward(x, state, lengths, training)
