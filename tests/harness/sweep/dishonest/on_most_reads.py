"""Puts its work off until y is read, in three calls of four."""

from cheating import CountingLSTM, work

STATUS, REASON = "SUSPECT", "to_device and to_host take .* s a call: .*"


class Cheat(CountingLSTM):
    def forward(self, x, state, lengths=None, training=False):
        self.y, last = super().forward(x, state, lengths, training)
        self.deferred = self.calls % 4 != 1
        if not self.deferred:
            work()
        return self.y, last

    def to_host(self, array):
        if array is self.y and self.deferred:
            work()
        return array
