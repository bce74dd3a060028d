"""Truncates the operands of products to TF32 in timed calls."""

import numpy as np
from cheating import RoundingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(RoundingLSTM):
    def rounded(self, array):
        return (np.ascontiguousarray(array).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
