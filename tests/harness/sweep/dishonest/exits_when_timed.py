"""Ends its process in the fourth call."""

import os

from cheating import CountingLSTM

STATUS, REASON = "CRASHED", "the process exited with code 0"
OWN_PROCESS = True


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        if self.calls == 3:
            os._exit(0)
        return super().forward(x, state, lengths, training)
