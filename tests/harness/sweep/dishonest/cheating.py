"""What the dishonest backends share: a count of their calls, work that takes long, and arrays that compute on demand."""

import time

import numpy as np

from lstm_parity import LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM


def work(seconds=0.005):
    """A computation that takes this long on any machine."""
    time.sleep(seconds)


class CountingLSTM(NumpyLSTM):
    """Knows whether a call is timed: the first one is not, and its result is checked."""

    calls = 0

    def forward(self, x, state, lengths=None, training=False):
        self.calls += 1
        return super().forward(x, state, lengths, training)

    @property
    def timed(self):
        return self.calls > 1


class RoundingLSTM(CountingLSTM):
    """Multiplies operands that `rounded` has changed, in timed calls."""

    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.weights = weights.layers[0][0]

    def rounded(self, array):
        raise NotImplementedError

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        if not self.timed:
            return y, last
        w, u = self.rounded(self.weights.w_ih.T), self.rounded(self.weights.w_hh.T)
        bias = self.weights.b_ih + self.weights.b_hh
        h, c = state.h[0], state.c[0]
        for t, step in enumerate(x):
            products = self.rounded(step) @ w + self.rounded(h) @ u
            i, f, g, o = np.split(products.astype(np.float32) + bias, 4, axis=1)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            y[t] = h
        return y, LSTMState(h[None], c[None])


class Box:
    """An array type of its own, whose values may be computed when they are first asked for."""

    def __init__(self, make):
        self.make = make

    def array(self):
        if callable(self.make):
            self.make = self.make()
        return self.make

    def __setitem__(self, where, value):
        if not callable(self.make):
            self.make[where] = value


class BoxedLSTM(NumpyLSTM):
    """Takes and returns `Box`es."""

    def to_device(self, array):
        return Box(array)

    def to_host(self, array):
        return array.array()

    def compute(self, x, state, training=False):
        return NumpyLSTM.forward(self, x.array(), LSTMState(state.h.array(), state.c.array()), None, training)
