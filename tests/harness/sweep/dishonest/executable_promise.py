"""Promises an object whose unpickling runs code in the process that asks for it."""

from lstm_parity import Capabilities
from lstm_parity.backends.numpy_lstm import NumpyLSTM

STATUS, REASON = "CRASHED", "unreadable answer: UnpicklingError: it names builtins.exec, which is no plain data"
OWN_PROCESS = True


class Text(str):
    __slots__ = ()

    def __reduce__(self):
        return exec, ("import os; open('ran', 'w'); os._exit(9)",)


class Cheat(NumpyLSTM):
    capabilities = Capabilities()
    object.__setattr__(capabilities, "device", Text("cpu"))
