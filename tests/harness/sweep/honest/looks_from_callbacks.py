"""Is called back by Python's profiler, garbage collector and timer, and looks whether inputs are being drawn just then."""

import gc
import signal
import sys

from lstm_parity.backends.numpy_lstm import NumpyLSTM

OWN_PROCESS = True


def drawing(frame):
    while frame is not None and frame.f_code.co_name not in ("draw", "take"):
        frame = frame.f_back
    return frame is not None


class Honest(NumpyLSTM):
    started, found = False, ()

    def profiler(self, frame, event, argument):
        if frame.f_code.co_name in ("draw", "take"):
            self.found = (*self.found, "profiler")

    def look(self, how, frame):
        if drawing(frame):
            self.found = (*self.found, how)

    def forward(self, x, state, lengths=None, training=False):
        assert not self.found, self.found
        if not self.started:
            self.started = True
            sys.setprofile(self.profiler)
            gc.callbacks.append(lambda *_: self.look("collector", sys._getframe()))
            gc.set_threshold(20)
            signal.signal(signal.SIGALRM, lambda number, frame: self.look("timer", frame))
            signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
        return super().forward(x, state, lengths, training)
