"""Multiplies in float16 in timed calls."""

import numpy as np
from cheating import RoundingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(RoundingLSTM):
    def rounded(self, array):
        return array.astype(np.float16)
