"""Draws what follows from each number that it was sent, and looks for it in the inputs that come."""

import itertools
import sys

import numpy as np

from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.problems.call_inputs import draw_rows

OWN_PROCESS = True


class Honest(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.known, self.first = set(), True
        self.draw_from_message()

    def draw_from_message(self):
        frame = sys._getframe()
        while "message" not in frame.f_locals:
            frame = frame.f_back
        message = frame.f_locals["message"]
        if hasattr(message, "cell"):
            self.cell, self.size = message.cell, message.ring_size
        numbers = [value for value in vars(message).values() if type(value) is int]
        assert numbers
        for number, call in itertools.product(numbers, range(1, 100)):
            rows = np.arange(self.cell.batch_size)
            self.known.add(draw_rows(self.cell, number, self.size, call, rows).x.tobytes())

    def forward(self, x, state, lengths=None, training=False):
        assert x.tobytes() not in self.known
        if self.first:
            self.draw_from_message()
        self.first = False
        return super().forward(x, state, lengths, training)
