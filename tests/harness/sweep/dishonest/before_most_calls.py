"""Works as soon as it gets x, before three calls of four."""

from cheating import work

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "SUSPECT", "to_device and to_host take .* s a call: .*"


class Cheat(NumpyLSTM):
    calls, ahead = 0, False

    def to_device(self, array):
        if array.ndim == 3 and len(array) > 1:  # x, not a state
            self.calls += 1
            self.ahead = self.calls % 4 != 1
            if self.ahead:
                work()
        return array

    def forward(self, x, state, lengths=None, training=False):
        if not self.ahead:
            work()
        return super().forward(x, state, lengths, training)
