"""A backend small enough to be changed in one place."""

import numpy as np

from lstm_parity.backends import Capabilities, LSTMBackend, LSTMState


class Plain(LSTMBackend):
    """One layer, one direction, float32; `gates` is the order in which it takes the packed gates."""

    capabilities = Capabilities()
    gates = "ifgo"

    def __init__(self, spec, weights):
        self.w = weights.layers[0][0]

    def initial(self, state):
        return state.h[0], state.c[0]

    def forward(self, x, state, lengths=None, training=False):
        (h, c), y = self.initial(state), np.empty((*x.shape[:2], len(self.w.w_hh) // 4), x.dtype)
        for t in range(len(x)):
            z = x[t] @ self.w.w_ih.T + self.w.b_ih + h @ self.w.w_hh.T + self.w.b_hh
            gate = dict(zip(self.gates, np.split(z, 4, axis=1), strict=True))
            i, f, o = (0.5 + 0.5 * np.tanh(0.5 * gate[name]) for name in "ifo")
            c = f * c + i * np.tanh(gate["g"])
            h = o * np.tanh(c)
            y[t] = h
        return y, LSTMState(h[None].copy(), c[None].copy())
