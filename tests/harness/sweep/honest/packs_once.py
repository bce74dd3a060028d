"""Packs the weights in the first call and keeps them."""

import numpy as np

from lstm_parity import Capabilities, LSTMBackend, LSTMState


class Honest(LSTMBackend):
    capabilities = Capabilities()

    def __init__(self, spec, weights):
        self.w, self.packed = weights.layers[0][0], None

    def forward(self, x, state, lengths=None, training=False):
        if self.packed is None:
            self.packed = np.concatenate([self.w.w_ih, self.w.w_hh], axis=1).T.copy()
        h, c, ys = state.h[0], state.c[0], []
        for step in x:
            z = np.concatenate([step, h], axis=1) @ self.packed + self.w.b_ih + self.w.b_hh
            i, f, g, o = np.split(z, 4, axis=1)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            ys.append(h)
        return np.stack(ys), LSTMState(h[None], c[None])
