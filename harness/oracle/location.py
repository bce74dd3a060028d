"""Where a result is off and by how much: the worst element, and the first bad one in the order of computation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_parity.backends.problem import Array


@dataclass(frozen=True)
class Location:
    """One element of a result.

    quantity: "y", "h_n", "c_n". step: index into y's first axis; -1 where none applies. row: index into the batch. unit: index
    into R or H. got, expected, allowed: the backend's value, the certificate's, and the largest difference between them.
    """

    quantity: str
    step: int
    row: int
    unit: int
    direction: int
    got: float
    expected: float
    allowed: float

    @property
    def ratio(self) -> float:
        """|got - expected| / allowed; see error_ratio."""
        return _ratio(self.got, self.expected, self.allowed)


@dataclass(frozen=True)
class Spot:
    """One element of a result by the name of its tensor: y, h_n, c_n or "gradient of ...".

    index: into the tensor. where: the index in words. got, expected, allowed: as in Location.
    """

    tensor: str
    index: tuple[int, ...]
    where: str
    got: float
    expected: float
    allowed: float

    @property
    def ratio(self) -> float:
        """|got - expected| / allowed; see error_ratio."""
        return _ratio(self.got, self.expected, self.allowed)

    def __str__(self) -> str:
        times = f"allowed error {self.allowed:.2g}"
        if np.isfinite(self.ratio):
            times = f"{self.ratio:.3g} times the {times}"
        return f"{self.tensor} is first wrong at {self.where}: got {self.got:.9g}, expected {self.expected:.9g}, {times}"


def error_ratio(got: Array, expected: Array, allowed: Array) -> Array:
    """|got - expected| / allowed, elementwise.

    0 where they are equal or both NaN. Infinite where only one of them is finite, or where they differ and nothing is allowed.
    A NaN among `allowed` allows nothing.
    """
    with np.errstate(all="ignore"):
        error = np.abs(got - expected)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        ratio = np.where(np.isfinite(error) & (allowed > 0), error / allowed, np.inf)
    return np.where(same, 0.0, ratio)


def _ratio(got: float, expected: float, allowed: float) -> float:
    return float(error_ratio(np.array(got), np.array(expected), np.array(allowed)))


class Found:
    """The worst element and the first bad one of all that `look` has been shown."""

    def __init__(self) -> None:
        self.worst: Location | None = None
        self.first_bad: Location | None = None
        self.max_error = 0.0
        self._first_order = 0

    def look(
        self,
        quantity: str,
        direction: int,
        order: int,
        steps: Array,
        got: Array,
        expected: Array,
        allowed: Array,
        valid: Array | None = None,
    ) -> None:
        """Compare arrays [n, B, units]; `allowed` may broadcast.

        order: when, counted in steps of the recurrence, the first of the n was computed. steps [n, B]: index of each into y.
        valid [n, B]: what is compared; None = all. max_error is kept for y alone.
        """
        if valid is not None and not valid.any():
            return
        error = np.abs(got - expected)
        ratio = error / allowed
        if not (np.isfinite(np.max(ratio)) and np.isfinite(np.max(error))):
            ratio = error_ratio(got, expected, allowed)
            error = np.where(np.isfinite(error), error, np.where(ratio > 1, np.inf, 0.0))
        if valid is not None:  # below what any valid element has
            error, ratio = (np.where(valid[..., None], a, -1.0) for a in (error, ratio))
        if quantity == "y":
            self.max_error = max(self.max_error, float(error.max()))

        def location(flat: int) -> Location:
            s, b, unit = (int(i) for i in np.unravel_index(flat, ratio.shape))
            values = (float(np.broadcast_to(a, ratio.shape)[s, b, unit]) for a in (got, expected, allowed))
            return Location(quantity, int(steps[s, b]), b, unit, direction, *values)

        highest = float(ratio.max())
        if self.worst is None or highest > self.worst.ratio:
            self.worst = location(int(ratio.argmax()))
        if highest > 1:
            first = int((ratio > 1).argmax())
            first_order = order + first // (ratio.shape[1] * ratio.shape[2])
            if self.first_bad is None or first_order < self._first_order:
                self.first_bad, self._first_order = location(first), first_order
