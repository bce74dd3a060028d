"""Works in synchronize, which is also called before the clock starts."""

from cheating import work

from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "SUSPECT", "to_device and to_host take .* s a call: .*"


class Cheat(NumpyLSTM):
    def synchronize(self):
        work()
