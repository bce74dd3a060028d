"""Does nothing until a result is read."""

from cheating import Box, BoxedLSTM, work

from lstm_parity import LSTMState

STATUS, REASON = "SUSPECT", "to_device and to_host take .* s a call: .*"
OWN_PROCESS = True


class Cheat(BoxedLSTM):
    def forward(self, x, state, lengths=None, training=False):
        done = Box(lambda: (work(), self.compute(x, state))[1])
        last = LSTMState(Box(lambda: done.array()[1].h), Box(lambda: done.array()[1].c))
        return Box(lambda: done.array()[0]), last
