"""All checks, one flat list: the command line and pytest both go through it in this order."""

from __future__ import annotations

from ..check import Check
from . import batch, closed_forms, directions, gradients, lecture, lengths, memory, precision, time, values

CHECKS: tuple[Check, ...] = (
    *values.CHECKS,
    *precision.CHECKS,
    *batch.CHECKS,
    *time.CHECKS,
    *directions.CHECKS,
    *lengths.CHECKS,
    *closed_forms.CHECKS,
    *memory.CHECKS,
    *gradients.CHECKS,
    *lecture.CHECKS,
)
