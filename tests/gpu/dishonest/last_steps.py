"""Leaves out the last 20 steps of timed calls."""

import torch
from cheating import CountingLSTM

STATUS = "WRONG"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        if not self.calls:
            return super().forward(x, state)
        y, last = super().forward(x[:-20], state)
        return torch.cat([y, y[-20:]]), last
