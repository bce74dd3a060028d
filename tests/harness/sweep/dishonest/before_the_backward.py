"""Works as soon as it gets the gradients of the last state, before the call."""

from cheating import work

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON, MODE = "SUSPECT", "to_device and to_host take .* s a call: .*", "training"


class Cheat(NumpyLSTM):
    def to_device(self, array):
        if array.ndim == 3 and len(array) == 1:
            work()
        return array
