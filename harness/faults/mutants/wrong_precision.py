"""Wrong precisions: less inside than was promised."""

from __future__ import annotations

from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.problem import Array

from .mutant import wrong
from .parts import Packed
from .rounding import rounded_to, tf32_rounded, tf32_truncated
from .subject import Subject

BFLOAT16 = ml_dtypes.bfloat16
F64 = ("float64",)
F16 = ("float16",)


class _Products(Subject):
    """Products with rounded operands."""

    def operand(self, array: Array) -> Array:
        """An operand as it is multiplied."""
        return array

    def product(self, a: Array, b: Array) -> Array:
        return np.asarray(np.matmul(self.operand(a), self.operand(b)))


@wrong("precision", after="pytorch 179445")
class Tf32RoundedBehindFloat32(_Products):
    """Operands of products are rounded to TF32 in a float32 promise."""

    def operand(self, array: Array) -> Array:
        return tf32_rounded(array)


@wrong("precision")
class Tf32TruncatedBehindFloat32(_Products):
    """Operands of products are cut to TF32 in a float32 promise."""

    def operand(self, array: Array) -> Array:
        return tf32_truncated(array)


@wrong("precision")
class Tf32RecurrenceBehindFloat32(Subject):
    """Operands of the recurrent product alone are rounded to TF32 in a float32 promise."""

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        return np.asarray(np.matmul(tf32_rounded(h), tf32_rounded(p.w_hh)) + wx)


@wrong("precision")
class Tf32InputBehindFloat32(Subject):
    """x alone is rounded to TF32 in a float32 promise."""

    def first_input(self, x: Array, mask: Array | None) -> Array:
        return tf32_rounded(super().first_input(x, mask))


@wrong("precision")
class Float16ProductsBehindFloat32(_Products):
    """Operands of products are rounded to float16 in a float32 promise."""

    def operand(self, array: Array) -> Array:
        return rounded_to(array, np.float16)


@wrong("precision")
class Bfloat16ProductsBehindFloat32(_Products):
    """Operands of products are rounded to bfloat16 in a float32 promise."""

    def operand(self, array: Array) -> Array:
        return rounded_to(array, BFLOAT16)


@wrong("precision", precisions=F16)
class Bfloat16ProductsBehindFloat16(_Products):
    """Operands of products are rounded to bfloat16 in a float16 promise."""

    def operand(self, array: Array) -> Array:
        return rounded_to(array, BFLOAT16)


@wrong("precision", precisions=("tf32",))
class Bfloat16ProductsBehindTf32(_Products):
    """Operands of products are rounded to bfloat16 in a tf32 promise."""

    def operand(self, array: Array) -> Array:
        return rounded_to(array, BFLOAT16)


@wrong("precision", precisions=F64)
class Float32ProductsBehindFloat64(_Products):
    """Operands of products are rounded to float32 in a float64 promise."""

    def operand(self, array: Array) -> Array:
        return rounded_to(array, np.float32)


class _Accumulated(Subject):
    """Sums of products that add one product after the other in 16 bits."""

    kept: ClassVar[Any] = np.float16

    def product(self, a: Array, b: Array) -> Array:
        total = np.zeros((len(a), b.shape[1]), self.compute)
        for k in range(a.shape[1]):
            total = rounded_to(total + a[:, k, None] * b[k], self.kept)
        return total


@wrong("precision", precisions=F16)
class Float16AccumulationBehindFloat16(_Accumulated):
    """Sums of products are kept in float16, where float32 is promised."""


@wrong("precision", precisions=("bfloat16",))
class Bfloat16AccumulationBehindBfloat16(_Accumulated):
    """Sums of products are kept in bfloat16, where float32 is promised."""

    kept = BFLOAT16


class _Cell(Subject):
    """c in fewer bits."""

    kept: ClassVar[Any] = np.float16

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        return rounded_to(super().cell(i, f, g, c), self.kept)


@wrong("precision")
class Float16CellBehindFloat32(_Cell):
    """c is kept in float16 in a float32 promise."""


@wrong("precision")
class Bfloat16CellBehindFloat32(_Cell):
    """c is kept in bfloat16 in a float32 promise."""

    kept = BFLOAT16


@wrong("precision", precisions=F16)
class Bfloat16CellBehindFloat16(_Cell):
    """c is kept in bfloat16 in a float16 promise."""

    kept = BFLOAT16


@wrong("precision", precisions=F64)
class Float32CellBehindFloat64(_Cell):
    """c is kept in float32 in a float64 promise."""

    kept = np.float32


@wrong("precision")
class Float16HiddenBehindFloat32(Subject):
    """h is kept in float16 between the steps in a float32 promise."""

    def stored(self, array: Array) -> Array:
        return rounded_to(array, np.float16)


@wrong("precision")
class Bfloat16WeightsBehindFloat32(Subject):
    """U is kept in bfloat16 in a float32 promise."""

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        p = super().pack(w, layer, direction)
        p.w_hh = rounded_to(p.w_hh, BFLOAT16)
        return p


@wrong("precision")
class Float16GatesBehindFloat32(Subject):
    """Gates are rounded to float16 in a float32 promise."""

    def sigmoid(self, z: Array) -> Array:
        return rounded_to(super().sigmoid(z), np.float16)


@wrong("precision", precisions=F64)
class Float32BehindFloat64(Subject):
    """Everything is computed in float32 in a float64 promise."""

    def arithmetic(self) -> np.dtype[Any]:
        return np.dtype(np.float32)


@wrong("precision", precisions=F64)
class Float32ActivationsBehindFloat64(Subject):
    """Activations are computed in float32 in a float64 promise."""

    def sigmoid(self, z: Array) -> Array:
        return super().sigmoid(z.astype(np.float32)).astype(z.dtype)

    def tanh(self, z: Array) -> Array:
        return np.asarray(np.tanh(z.astype(np.float32)).astype(z.dtype))


@wrong("precision")
class Float16InitialStateBehindFloat32(Subject):
    """c0 goes through float16 in a float32 promise."""

    def initial_state(self, state: LSTMState, layer: int, direction: int) -> tuple[Array, Array]:
        h, c = super().initial_state(state, layer, direction)
        return h, rounded_to(c, np.float16)
