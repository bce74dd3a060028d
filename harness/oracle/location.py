"""Where a result is wrong and by how much: the worst element, and the first wrong one in the order of computation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_parity.backends.problem import Array


class _Compared:
    """An element with the backend's value, the reference's, and the largest difference allowed between them."""

    got: float
    expected: float
    allowed: float

    @property
    def ratio(self) -> float:
        """|got - expected| / allowed; see error_ratio."""
        return float(error_ratio(np.array(self.got), np.array(self.expected), np.array(self.allowed)))


@dataclass(frozen=True)
class Location(_Compared):
    """One element of the result of one layer."""

    quantity: str
    """y, h_n or c_n."""
    step: int
    """Index into the first axis of y; for a state, the last valid step of its row, -1 for a row of length 0."""
    row: int
    """Index into the batch."""
    unit: int
    """Index into R or H."""
    direction: int
    got: float
    expected: float
    allowed: float


@dataclass(frozen=True)
class Spot(_Compared):
    """One element of a tensor."""

    tensor: str
    """y, h_n, c_n, "gradient of ..." or "projected gradient of ..."."""
    index: tuple[int, ...]
    where: str
    """The index as text."""
    got: float
    expected: float
    allowed: float

    def __str__(self) -> str:
        times = f"allowed error {self.allowed:.2g}"
        if np.isfinite(self.ratio):
            times = f"{self.ratio:.3g} times the {times}"
        return f"{self.tensor} is first wrong at {self.where}: got {self.got:.9g}, expected {self.expected:.9g}, {times}"


def error_ratio(got: Array, expected: Array, allowed: Array) -> Array:
    """|got - expected| / allowed, elementwise.

    0 where they are equal or both NaN. Infinite where only one of them is finite, or where they differ and nothing is allowed.
    A NaN in `allowed` counts as 0.
    """
    with np.errstate(all="ignore"):
        error = np.abs(got - expected)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        ratio = np.where(np.isfinite(error) & (allowed > 0), error / allowed, np.inf)
    return np.where(same, 0.0, ratio)


class Found:
    """The worst element and the first wrong one of all that `look` has compared."""

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

        order: the step of the recurrence that computed the first of the n. steps [n, B]: index of each into y. valid [n, B]:
        which are compared, None = all. max_error is that of y alone.
        """
        if valid is not None and not valid.any():
            return
        error = np.abs(got - expected)
        ratio = error / allowed
        if not (np.isfinite(np.max(ratio)) and np.isfinite(np.max(error))):
            ratio = error_ratio(got, expected, allowed)
            error = np.where(np.isfinite(error), error, np.where(ratio > 1, np.inf, 0.0))
        if valid is not None:  # below the ratio of any valid element
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
