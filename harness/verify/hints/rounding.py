"""Hints for a wrong y that no fault gives exactly: which rounding its error is that of."""

from __future__ import annotations

import numpy as np

from ...faults.fault import Fault
from ...faults.lstm import CorrectLSTM
from ...faults.table import FAULTS
from .call import Call
from .with_fault import results_of, results_with

EXPLAINED = 0.25
"""A rounding explains an error if it leaves no more than this share of it."""

PROMISED_BITS = {"float64": 53, "float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}


def hint_of_rounding(calls: list[Call]) -> str | None:
    """What the error of one layer's y is explained by in every call; None where nothing explains most of it."""
    first = calls[0]
    spec = first.problem.spec
    if spec.num_layers > 1:
        return None
    left = [(_unexplained(first, fault), fault) for fault in FAULTS if fault.family == "precision" and fault.hint]
    enough = max(EXPLAINED / 4, 1.5 * min(share for share, _ in left))
    for share, fault in left:  # where several explain it all, the first one listed
        if share <= enough and all(_unexplained(call, fault) <= EXPLAINED for call in calls):
            return f"the error of y is explained if {fault.sentence}"
    bits = first.judgement.effective_bits
    for name, typical in (("float32", 24.0), ("TF32 or float16", 11.0), ("bfloat16", 8.0)):
        if (
            bits is not None
            and typical < PROMISED_BITS[spec.precision] - 2
            and abs(bits - typical) <= 1.5
            and first.judgement.max_error < 2.0 ** (2 - typical)
        ):
            return f"the error of y is about that of {name}: {bits:.1f} effective bits"
    return None


def _unexplained(call: Call, fault: Fault) -> float:
    """The mean error of y with the fault's LSTM over that with the right one.

    Both without the largest twentieth: a value between two roundings may go either way, and is then far off.
    """
    means = []
    for found in (results_with(fault, call.problem, call.got["y"]), results_of(CorrectLSTM, call.problem, y=call.got["y"])):
        if found is None:
            return np.inf
        stored = found["y"].astype(call.problem.spec.dtype).astype(np.float64)
        errors = np.sort(np.abs(call.got["y"] - stored), axis=None)
        means.append(float(errors[: max(1, int(0.95 * errors.size))].mean()))
    return means[0] / means[1] if means[1] > 0 else np.inf
