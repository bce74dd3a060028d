"""The values that the API's functions take: each is checked before anything starts."""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from typing import Any

from ..errors import CallError


def whole(name: str, value: Any, minimum: int) -> int | None:
    """An integer of at least `minimum`; None stays None. Raises CallError, naming the argument."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise CallError(f"{name} must be an integer of {minimum} or more, not {value!r}")
    return int(value)


def seconds(name: str, value: Any) -> float | None:
    """A finite number above 0; None stays None. Raises CallError, naming the argument."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value) or value <= 0:
        raise CallError(f"{name} must be a number of seconds above 0, not {value!r}")
    return float(value)
