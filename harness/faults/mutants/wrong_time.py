"""Wrong time: steps skipped, repeated, reversed, off by one, forgotten after a while."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed, Run, Step
from .subject import Subject


class _Edited(Subject):
    """The layer runs on an edited x."""

    def edited(self, x: Array) -> Array:
        """x [T, B, I] as the layer reads it."""
        return x

    def first_input(self, x: Array, mask: Array | None) -> Array:
        return self.edited(super().first_input(x, mask))


@wrong("time")
class TimeReversed(Subject):
    """The steps are taken from the last to the first."""

    def order(self, steps: int) -> Iterable[int]:
        return range(steps)[::-1]


@wrong("time")
class FirstStepSkipped(Subject):
    """The first step is left out, where it is not the only one."""

    def order(self, steps: int) -> Iterable[int]:
        return range(min(1, steps - 1), steps)


@wrong("time")
class LastStepSkipped(Subject):
    """The last step is left out, where it is not the only one."""

    def order(self, steps: int) -> Iterable[int]:
        return range(max(1, steps - 1))


@wrong("time")
class OddStepMissing(Subject):
    """The loop is unrolled by two, and an odd step at the end is forgotten."""

    def order(self, steps: int) -> Iterable[int]:
        return range(steps - steps % 2)


@wrong("time")
class PairsOfStepsSwapped(Subject):
    """Of each pair of steps the second is taken first."""

    def order(self, steps: int) -> Iterable[int]:
        return [min(t ^ 1, steps - 1) for t in range(steps)]


@wrong("time")
class InputOneStepLate(_Edited):
    """Step t reads x of the step before; the first reads its own."""

    def edited(self, x: Array) -> Array:
        return np.concatenate([x[:1], x[:-1]])


@wrong("time")
class InputOneStepEarly(_Edited):
    """Step t reads x of the step after; the last reads its own."""

    def edited(self, x: Array) -> Array:
        return np.concatenate([x[1:], x[-1:]])


@wrong("time")
class LooksAhead(_Edited):
    """A ten-thousandth of the next x leaks into each step."""

    def edited(self, x: Array) -> Array:
        return np.concatenate([x[:-1] + 1e-4 * x[1:], x[-1:]])


@wrong("time")
class OutputOneStepLate(Subject):
    """y[t] is h of the step before."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        return np.concatenate([y[:1], y[:-1]]), h, c


@wrong("time")
class OutputsReversed(Subject):
    """y is returned from the last step to the first."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        return y[::-1].copy(), h, c


@wrong("time")
class OnlyTheLastSteps(Subject):
    """Five steps before the end the state starts anew, as if only so many were looked at."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        self.restart = len(x) - 5
        return super().run_direction(p, x, h, c, mask, training)

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        if t == self.restart and t > 0:
            h, c = np.zeros_like(h), np.zeros_like(c)
        return super().step(p, t, wx, h, c)


@wrong("time")
class StateLostBetweenChunks(Subject):
    """Sequences are cut into chunks of 16 steps, and c is not handed from one to the next."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        return super().step(p, t, wx, h, np.zeros_like(c) if t and t % 16 == 0 else c)
