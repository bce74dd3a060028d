"""Less precision inside than was promised."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from lstm_parity.backends.problem import Array

from ..changes import each_array
from ..fault import Fault, fault
from ..lstm import sigmoid
from ..lstm_parts import Packed
from ..rounding import rounded_to, tf32_rounded, tf32_truncated, to_bfloat16, to_float16, to_float32

precision = partial(fault, "precision", behind=("float32",))
F64, F16 = ("float64",), ("float16",)
Rounding = Callable[[Array], Array]


def products(name: str, to: str, rounding: Rounding, behind: tuple[str, ...] = ("float32",), after: str = "") -> Fault:
    """Operands of products with fewer bits."""
    return precision(name, f"operands of products are {to}", operand=lambda _, a: rounding(a), behind=behind, after=after)


def cell(name: str, dtype: str, rounding: Rounding, behind: tuple[str, ...]) -> Fault:
    """c with fewer bits."""
    return precision(name, f"c is kept in {dtype}", cell=lambda _, i, f, g, c: rounding(f * c + i * g), behind=behind)


def hidden(dtype: str, rounding: Rounding) -> list[Fault]:
    """h with fewer bits between the steps: also in y, or not."""
    return [
        precision(f"{dtype}-hidden", f"h and y are kept in {dtype}", stored=lambda _, a: rounding(a)),
        precision(
            f"{dtype}-recurrence", f"h is kept in {dtype} between the steps", before_step=lambda _, p, t, h, c: (rounding(h), c)
        ),
    ]


def accumulated(dtype: Any) -> Any:
    """product: one product after the other is added, and the sum is kept in this dtype."""

    def product(lstm: Any, a: Array, b: Array) -> Array:
        total = np.zeros((len(a), b.shape[1]), lstm.compute)
        for k in range(a.shape[1]):
            total = rounded_to(total + a[:, k, None] * b[k], dtype)
        return total

    return product


def tf32_recurrence(lstm: Any, p: Packed, wx: Array, h: Array) -> Array:
    """U h with operands rounded to TF32."""
    return np.asarray(np.matmul(tf32_rounded(h), tf32_rounded(p.w_hh)) + wx)


FAULTS = (
    products("tf32-rounded", "rounded to TF32 or float16 (10 bits)", tf32_rounded, after="pytorch 179445"),
    products("tf32-truncated", "truncated to TF32 (10 bits)", tf32_truncated),
    products("float16-products", "rounded to float16", to_float16),
    products("bfloat16-products", "rounded to bfloat16", to_bfloat16, ("float32", "float16", "tf32")),
    cell("float16-cell", "float16", to_float16, ("float32",)),
    cell("bfloat16-cell", "bfloat16", to_bfloat16, ("float32", "float16")),
    cell("float32-cell", "float32", to_float32, F64),
    products("float32-products", "rounded to float32", to_float32, F64),
    *hidden("float16", to_float16),
    *hidden("bfloat16", to_bfloat16),
    precision("bfloat16-weights", "U is kept in bfloat16", weights_used=each_array(to_bfloat16, "w_hh")),
    precision("float16-weights", "U is kept in float16", weights_used=each_array(to_float16, "w_hh")),
    precision("float16-input", "x is rounded to float16", x_used=lambda _, x: to_float16(x)),
    precision("bfloat16-input", "x is rounded to bfloat16", x_used=lambda _, x: to_bfloat16(x)),
    precision("float16-initial-state", "c0 is rounded to float16", states_used=lambda _, h, c: (h, to_float16(c))),
    precision("tf32-input", "x is rounded to TF32", x_used=lambda _, x: tf32_rounded(x)),
    precision("tf32-recurrence", "operands of U h are rounded to TF32", gate_sums=tf32_recurrence),
    precision("float16-gates", "gates are rounded to float16", sigmoid=lambda _, z: to_float16(sigmoid(z))),
    precision(
        "float32-activations",
        "activations are computed in float32",
        behind=F64,
        sigmoid=lambda _, z: sigmoid(z.astype(np.float32)).astype(z.dtype),
        tanh=lambda _, z: np.tanh(z.astype(np.float32)).astype(z.dtype),
    ),
    precision(
        "float16-accumulation", "sums of products are kept in float16", behind=F16, product=accumulated(np.float16), hint=False
    ),
    precision(
        "bfloat16-accumulation",
        "sums of products are kept in bfloat16",
        behind=("bfloat16",),
        product=accumulated(ml_dtypes.bfloat16),
        hint=False,
    ),
    precision(
        "float32", "everything is computed in float32", behind=F64, arithmetic=lambda _: np.dtype(np.float32), hint=False
    ),
)
