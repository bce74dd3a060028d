"""Leaves the last state until it is read."""

from cheating import Box, BoxedLSTM, work

from lstm_parity import LSTMState

STATUS, REASON = "SUSPECT", "to_device and to_host take .* s a call: .*"


class Cheat(BoxedLSTM):
    def forward(self, x, state, lengths=None, training=False):
        y, last = self.compute(x, state)
        return Box(y), LSTMState(Box(lambda: (work(), last.h)[1]), Box(lambda: last.c))
