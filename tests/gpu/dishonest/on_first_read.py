"""Does nothing until a result is read."""

from cheating import DeferringLSTM

STATUS = "WRONG"
REASON = "in timed call .*|y, a state or a gradient was not there yet, or changed, after the call had returned"


class Cheat(DeferringLSTM):
    pass
