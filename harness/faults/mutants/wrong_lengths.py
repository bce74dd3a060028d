"""Wrong lengths: ignored, off by one, padding that is read or written."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .chance import generator
from .mutant import wrong
from .parts import Packed, Run, Step
from .subject import Subject

RAGGED: dict[str, Any] = {"lengths": True}
WITH_EMPTY: dict[str, Any] = {"lengths": True, "zero_lengths": True}


class _OtherLengths(Subject):
    """The layer runs with other lengths than it was given."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        """The lengths [B] that are used."""
        return lengths

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        return super().run(x, state, None if lengths is None else self.other(lengths, len(x)), training)


@wrong("lengths", **RAGGED)
class LengthsIgnored(_OtherLengths):
    """All rows run to the end."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        return None


@wrong("lengths", **RAGGED)
class LengthsOneShort(_OtherLengths):
    """Each row's last step is left out, where it is not the only one."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        return np.asarray(np.maximum(lengths - 1, 1))


@wrong("lengths", **RAGGED)
class LengthsOneLong(_OtherLengths):
    """Each row shorter than T runs one step too far."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        return np.asarray(np.minimum(lengths + 1, steps))


@wrong("lengths", **RAGGED)
class LengthsSortedRowsNot(_OtherLengths):
    """Lengths are sorted from the longest to the shortest, the rows stay where they are."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        return np.sort(lengths)[::-1].copy()


@wrong("lengths", **RAGGED, after="onnxruntime 1400")
class LongestRowRulesTheBatch(_OtherLengths):
    """The batch runs to its longest row's end, and only what lies past that is masked."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        return np.full_like(lengths, lengths.max())


@wrong("lengths", **WITH_EMPTY)
class EmptyRowRunsOneStep(_OtherLengths):
    """A row of length 0 is given one step."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        return np.maximum(lengths, 1)


@wrong("lengths", **WITH_EMPTY)
class EmptyRowsStateZero(Subject):
    """A row of length 0 returns 0 instead of its initial state."""

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        y, last = super().run(x, state, lengths, training)
        if lengths is not None:
            last.h[:, lengths == 0] = 0
        return y, last


@wrong("lengths", **RAGGED)
class LengthsKeptFromFirstCall(_OtherLengths):
    """The lengths of the first call with a shape hold for all later ones."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.first: dict[tuple[int, int], Array] = {}
        super().__init__(spec, weights)

    def other(self, lengths: Array, steps: int) -> Array | None:
        return self.first.setdefault((steps, len(lengths)), lengths.copy())


@wrong("lengths", **RAGGED)
class OutputPastLengthRepeated(Subject):
    """Past a row's length y repeats its last h."""

    def advanced(self, valid: Array, s: Step) -> tuple[Array, Array, Array]:
        _, h, c = super().advanced(valid, s)
        return h, h, c


@wrong("lengths", **RAGGED)
class OutputPastLengthComputed(Subject):
    """Past a row's length y goes on, though the state stands still."""

    def advanced(self, valid: Array, s: Step) -> tuple[Array, Array, Array]:
        _, h, c = super().advanced(valid, s)
        return s.h, h, c


@wrong("lengths", **RAGGED)
class FinalHiddenAtTheEnd(Subject):
    """y is masked, but h runs on to the last step."""

    def advanced(self, valid: Array, s: Step) -> tuple[Array, Array, Array]:
        y, _, c = super().advanced(valid, s)
        return y, s.h, c


@wrong("lengths", **RAGGED)
class FinalCellAtTheEnd(Subject):
    """y and h are masked, but c runs on to the last step."""

    def advanced(self, valid: Array, s: Step) -> tuple[Array, Array, Array]:
        y, h, _ = super().advanced(valid, s)
        return y, h, s.c


@wrong("lengths", **RAGGED)
class StateClearedByPadding(Subject):
    """Past a row's length its state is multiplied by 0."""

    def advanced(self, valid: Array, s: Step) -> tuple[Array, Array, Array]:
        y, _, _ = super().advanced(valid, s)
        return y, s.h * valid, s.c * valid


@wrong("lengths", **RAGGED)
class PaddingTimesZero(Subject):
    """Padding is read and what comes of it multiplied by 0, which a NaN survives."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        return self.load(x)

    def advanced(self, valid: Array, s: Step) -> tuple[Array, Array, Array]:
        v = valid.astype(self.compute)
        return v * s.h, v * s.h + (1 - v) * s.h_before, v * s.c + (1 - v) * s.c_before


@wrong("lengths", **RAGGED, after="tensorflow 60192")
class MaskedNowAndThen(_OtherLengths):
    """The mask of one row is lost in one call out of four."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.rng = generator(weights)
        super().__init__(spec, weights)

    def other(self, lengths: Array, steps: int) -> Array | None:
        lengths = lengths.copy()
        if self.rng.random() < 0.25:
            lengths[self.rng.integers(len(lengths))] = steps
        return lengths


@wrong("lengths", **RAGGED)
class ZeroInputTakenForPadding(Subject):
    """A step whose x is all zeros counts as padding."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        zero = ~np.any(x != 0, axis=2)
        return super().run_direction(p, x, h, c, ~zero if mask is None else mask & ~zero, training)


@wrong("lengths", **RAGGED)
class EqualLengthsIgnored(_OtherLengths):
    """Where all rows have the same length it is taken to be T."""

    def other(self, lengths: Array, steps: int) -> Array | None:
        return None if np.all(lengths == lengths[0]) else lengths


@wrong("lengths", **WITH_EMPTY)
class AllEmptyFails(Subject):
    """A batch of nothing but empty rows is refused."""

    def mask(self, lengths: Array | None, steps: int) -> Array | None:
        if lengths is not None and not lengths.any():
            raise ValueError("there is no valid step")
        return super().mask(lengths, steps)
