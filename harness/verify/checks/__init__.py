"""All checks in one list: the command line and pytest both run it in this order."""

from __future__ import annotations

from ..check import Check
from . import batch, closed_forms, directions, gradients, lecture, lengths, memory, precision, time, values

CHECKS: tuple[Check, ...] = (
    *values.checks,
    *precision.checks,
    *batch.checks,
    *time.checks,
    *directions.checks,
    *lengths.checks,
    *closed_forms.checks,
    *memory.checks,
    *gradients.checks,
    *lecture.checks,
)
