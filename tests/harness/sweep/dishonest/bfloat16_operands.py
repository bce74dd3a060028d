"""Rounds the operands of products to bfloat16 in timed calls."""

import ml_dtypes
import numpy as np
from cheating import RoundingLSTM

STATUS, REASON = "WRONG", r"in timed call \d+: .*"


class Cheat(RoundingLSTM):
    def rounded(self, array):
        return array.astype(ml_dtypes.bfloat16).astype(np.float32)
