"""Wrong layout: transposed, strides misread, tails of tiles, sizes rounded to what suits a kernel."""

from __future__ import annotations

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.problem import Array

from .misreading import as_if_contiguous
from .mutant import wrong
from .parts import Packed, Step
from .subject import Subject


@wrong("layout", also=("float16", "bfloat16"))
class RecurrentMatrixTransposed(Subject):
    """Each gate's U is transposed."""

    def ordered(self, array: Array) -> Array:
        n = self.spec.hidden_size
        if array.shape == (4 * n, n) and array is not self.w_ih:
            return np.concatenate([part.T for part in np.split(array, 4)])
        return array

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        self.w_ih = w.w_ih
        return super().pack(w, layer, direction)


@wrong("layout")
class InputMatrixReshaped(Subject):
    """W's memory is read as [I, 4H] instead of being transposed."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p = super().pack(w, layer, direction)
        p.w_ih = p.w_ih.T.reshape(p.w_ih.shape)
        return p


@wrong("layout")
class UnitsPackedTogether(Subject):
    """The four gates of a unit are taken to lie side by side: [H, 4] instead of [4, H]."""

    def ordered(self, array: Array) -> Array:
        return np.concatenate([array[k::4] for k in range(4)])


@wrong("layout")
class BatchFirstInput(Subject):
    """x's memory is read as [B, T, I]."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        return super().first_input(np.ascontiguousarray(x).reshape(x.shape[1], x.shape[0], -1).swapaxes(0, 1), mask)


@wrong("layout")
class BatchFirstOutput(Subject):
    """y is written as [B, T, H] and returned as [T, B, H]."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        return np.ascontiguousarray(y.swapaxes(0, 1)).reshape(y.shape), h, c


@wrong("layout")
class StridesIgnored(Subject):
    """A strided x is read from its first element on as if it were contiguous."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        return super().first_input(as_if_contiguous(x), mask)


@wrong("layout")
class StatesStridesIgnored(Subject):
    """A strided h0 is read from its first element on as if it were contiguous."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        return super().initial_state(LSTMState(as_if_contiguous(state.h), state.c), layer, direction)


@wrong("layout")
class ContiguousInputDemanded(Subject):
    """A strided x is refused."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        if not x.flags.c_contiguous:
            raise ValueError("x must be contiguous")
        return super().first_input(x, mask)


class _Stored(Subject):
    """A change to h, [B, H], of each step."""

    def changed(self, s: Step) -> None:
        """Change s.h in place."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        s = super().step(p, t, wx, h, c)
        self.changed(s)
        return s


@wrong("layout")
class TailOfTileZero(_Stored):
    """Units come in tiles of 8; those of a last, partial tile are 0."""

    def changed(self, s: Step) -> None:
        n = s.h.shape[1]
        s.h[:, n - n % 8 :] = 0


@wrong("layout")
class TailOfTileStale(_Stored):
    """Units come in tiles of 32; those of a last, partial tile keep their h."""

    def changed(self, s: Step) -> None:
        n = s.h.shape[1]
        s.h[:, n - n % 32 :] = s.h_before[:, n - n % 32 :]


@wrong("layout")
class LastRowZero(_Stored):
    """The last row of an odd batch is left at 0."""

    def changed(self, s: Step) -> None:
        if len(s.h) % 2:
            s.h[-1] = 0


@wrong("layout")
class RecurrenceRoundedDown(Subject):
    """The recurrent product runs over H rounded down to a multiple of 8."""

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        n = len(p.w_hh) - len(p.w_hh) % 8
        return np.asarray(np.matmul(h[:, :n], p.w_hh[:n]) + wx)


@wrong("layout")
class InputRoundedDown(Subject):
    """The input product reads x four features at a time, and never the rest."""

    def input_products(self, p: Packed, x: Array) -> Array:
        n = x.shape[2] - x.shape[2] % 4
        z = np.matmul(x[:, :, :n].reshape(-1, n), p.w_ih[:n])
        return np.asarray((z if p.bias is None else z + p.bias).reshape(*x.shape[:2], -1))


@wrong("layout")
class HiddenRoundedUp(Subject):
    """H is rounded up to a multiple of 8, and the lanes added hold 1 instead of 0."""

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        lanes = -h.shape[1] % 8
        return np.asarray(super().gate_sums(p, wx, h) + p.w_hh[:lanes].sum(0))


@wrong("layout")
class LastRowOfMatrixMissing(Subject):
    """The recurrent product leaves out the last unit's h."""

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        return np.asarray(np.matmul(h[:, :-1], p.w_hh[:-1]) + wx)


@wrong("layout")
class LastFeatureOfOneUnit(Subject):
    """One unit's candidate does not see the last feature of x."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p = super().pack(w, layer, direction)
        p.w_ih[-1, 2 * self.spec.hidden_size] = 0
        return p


@wrong("layout")
class BatchFirstState(Subject):
    """h_n and c_n are returned as [B, 1, H]."""

    def returned(self, y: Array, last: LSTMState) -> tuple[Array, LSTMState]:
        y, last = super().returned(y, last)
        return y, LSTMState(last.h.swapaxes(0, 1), last.c.swapaxes(0, 1))
