"""Works as soon as it gets x, before the call."""

from cheating import work

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "SUSPECT", "to_device and to_host take .* s a call: .*"


class Cheat(NumpyLSTM):
    def to_device(self, array):
        if array.ndim == 3 and len(array) > 1:  # x, not a state
            work()
        return array
