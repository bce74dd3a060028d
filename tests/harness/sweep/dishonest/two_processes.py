"""Keeps a second core busy in a process of its own where each backend was given one thread."""

import hashlib
import os

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
        read, self.to_child = os.pipe()
        self.from_child, write = os.pipe()
        if os.fork() == 0:
            os.close(self.to_child)
            while os.read(read, 1):
                half(1)
                os.write(write, b"y")
            os._exit(0)
        os.close(read)

    def forward(self, x, state, lengths=None, training=False):
        os.write(self.to_child, b"x")
        half(0)
        os.read(self.from_child, 1)
        return super().forward(x, state, lengths, training)

    def close(self):
        os.close(self.to_child)
