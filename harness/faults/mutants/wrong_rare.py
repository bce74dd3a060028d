"""Wrong only now and then: for some sizes, lengths, batches or values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed, Run, Step
from .rounding import tf32_rounded
from .subject import Subject


class _Changed(Subject):
    """A step whose h and c are changed in place."""

    def changed(self, t: int, s: Step) -> None:
        """Change s.h and s.c in place."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        self.changed(t, s)
        return s


@wrong("rare")
class HiddenAbove64(_Changed):
    """Units from the 65th on keep their h."""

    def changed(self, t: int, s: Step) -> None:
        s.h[:, 64:] = s.h_before[:, 64:]


@wrong("rare")
class HiddenOf32(_Changed):
    """Where H is a multiple of 32, the last unit of the last tile is 0."""

    def changed(self, t: int, s: Step) -> None:
        if s.h.shape[1] % 32 == 0:
            s.h[:, -1] = 0


@wrong("rare")
class StepsAbove100(_Changed):
    """From step 100 on, c stands still."""

    def changed(self, t: int, s: Step) -> None:
        if t >= 100:
            s.c[...] = s.c_before


@wrong("rare")
class LongSequenceCut(Subject):
    """Of more than 64 steps the last one is left out."""

    def order(self, steps: int) -> Iterable[int]:
        return range(steps - (steps > 64))


@wrong("rare")
class StepCounterWraps(Subject):
    """The step is counted in 7 bits: step 128 reads x of step 0."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        return super().run_direction(p, x[np.arange(len(x)) % 128], h, c, mask, training)


@wrong("rare")
class BatchOf33(_Changed):
    """In a batch of 33, the last row repeats the first."""

    def changed(self, t: int, s: Step) -> None:
        if len(s.h) == 33:
            s.h[32] = s.h[0]


@wrong("rare", after="pytorch 177834")
class BatchAbove100(_Changed):
    """Rows from the 101st on keep their h."""

    def changed(self, t: int, s: Step) -> None:
        s.h[100:] = s.h_before[100:]


@wrong("rare")
class LargeBatchInTf32(Subject):
    """From 8 rows on another path is taken, which rounds operands to TF32."""

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(tf32_rounded(a), tf32_rounded(b)) if self.batch >= 8 else np.matmul(a, b))

    def first_input(self, x: Array, mask: Array | None) -> Array:
        self.batch = x.shape[1]
        return super().first_input(x, mask)


@wrong("rare")
class OneRowWithoutCell(Subject):
    """A batch of one row starts from c0 = 0."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return h, np.zeros_like(c) if len(c) == 1 else c


@wrong("rare")
class OneStepWithoutRecurrence(Subject):
    """A sequence of one step leaves U h0 out."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        self.steps = len(x)
        return super().first_input(x, mask)

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        return wx.copy() if self.steps == 1 else super().gate_sums(p, wx, h)


@wrong("rare")
class OneUnitSquashedOnce(Subject):
    """With a single hidden unit the tanh of c is left out."""

    def squashed(self, c: Array) -> Array:
        return c if c.shape[1] == 1 else super().squashed(c)


@wrong("rare")
class OneFeatureTwice(Subject):
    """A single input feature is broadcast, and counted twice."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        x = super().first_input(x, mask)
        return 2 * x if x.shape[2] == 1 else x


@wrong("rare")
class SquareInputTransposed(Subject):
    """Where I equals H, each gate's W is transposed."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p, n = super().pack(w, layer, direction), self.spec.hidden_size
        if len(p.w_ih) == n:
            p.w_ih = np.concatenate([part.T for part in np.split(p.w_ih, 4, axis=1)], axis=1)
        return p


@wrong("rare")
class NegativeZeroReadAsOne(Subject):
    """-0.0 in x is read as 1."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        x = super().first_input(x, mask)
        return np.where((x == 0) & np.signbit(x), np.ones((), x.dtype), x)


@wrong("rare")
class ZeroInputSkipsBias(Subject):
    """Where a step's x is all zeros the input product is skipped, and with it the bias."""

    def input_products(self, p: Packed, x: Array) -> Array:
        return np.asarray(super().input_products(p, x) * np.any(x != 0, axis=2, keepdims=True))


@wrong("rare")
class ZeroStateSkipsBias(Subject):
    """Where h' is all zeros the recurrent product is skipped, and with it half of the bias."""

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        z = super().gate_sums(p, wx, h)
        return z if p.bias is None or h.any() else z - p.bias / 2


@wrong("rare")
class SmallInputsFlushed(Subject):
    """x below 1e-4 is taken for 0."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        x = super().first_input(x, mask)
        return np.where(np.abs(x) < 1e-4, np.zeros((), x.dtype), x)


@wrong("rare")
class OutlierClipped(Subject):
    """x is clipped to -10..10."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        return np.clip(super().first_input(x, mask), -10, 10)


class _Gates(Subject):
    """Early gates that are changed."""

    limit: ClassVar[float] = 1 - 1e-6

    def sigmoid(self, z: Array) -> Array:
        s = super().sigmoid(z)
        return np.where(s > self.limit, np.zeros((), s.dtype), s)


@wrong("rare")
class SaturatedGateWraps(_Gates):
    """A gate above 1 - 1e-6 does not fit its fixed-point format and becomes 0."""


@wrong("rare")
class ClosedGateNan(Subject):
    """A gate that is exactly 0 is divided by itself on the way."""

    def sigmoid(self, z: Array) -> Array:
        s = super().sigmoid(z)
        return np.asarray(s * (s / s))


@wrong("rare", after="pytorch 177016")
class NanSpreadsOverTheBatch(_Changed):
    """A mask multiplies what belongs to other rows by 0, so that one row's NaN is everyone's."""

    def changed(self, t: int, s: Step) -> None:
        s.h += 0 * s.h.sum(0)


@wrong("rare")
class InfinitySpreadsOverTheBatch(Subject):
    """x is scaled by a power of two found from the whole batch, and back; zeros and infinities do not survive it."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        x = super().first_input(x, mask)
        scale = np.exp2(np.floor(np.log2(np.abs(x).max())))
        return np.asarray(x / scale * scale)


@wrong("rare")
class RowsCentred(Subject):
    """A thousandth of the batch's mean is taken from x, where there is more than one row."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        x = super().first_input(x, mask)
        return x - np.asarray(1e-3 * x.mean(1, keepdims=True)).astype(x.dtype) if x.shape[1] > 1 else x


@wrong("rare")
class LargeCellSaturates(_Changed):
    """c is kept within -4..4."""

    def changed(self, t: int, s: Step) -> None:
        np.clip(s.c, -4, 4, out=s.c)
