"""Patches time.perf_counter so that 30 ms look like 0.3 ms. The harness uses the clock that it saved before: timed in full."""

import time

from cheating import CountingLSTM, work

STATUS, REASON, MIN_MEDIAN_S = "TIMED", ".*", 0.03
OWN_PROCESS = True


class Cheat(CountingLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        clock = time.perf_counter
        time.perf_counter = lambda: clock() / 100

    def forward(self, x, state, lengths=None, training=False):
        work(0.03)
        return super().forward(x, state, lengths, training)
