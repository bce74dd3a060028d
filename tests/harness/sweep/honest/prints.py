"""Prints a line in each call."""

import sys

from lstm_parity.backends.numpy_lstm import NumpyLSTM

OWN_PROCESS = True


class Honest(NumpyLSTM):
    def forward(self, x, state, lengths=None, training=False):
        sys.stdout.write("call\n")
        sys.stderr.write("call\n")
        return super().forward(x, state, lengths, training)
