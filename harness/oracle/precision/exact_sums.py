"""float64 residuals from sums and activations of 50 digits: those of NumPy's float64 would have errors of the same size.

Only some elements are computed. Given the backend's own y, each unit of each row has its own c, so each can be computed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from operator import mul

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

DIGITS = 50
"""float64 has 16 and squares 32; the remaining digits exceed the cancellation in tanh of the smallest drawn c."""


def _sigmoid(z: Decimal) -> Decimal:
    return 1 / (1 + (-z).exp())


def _tanh(z: Decimal) -> Decimal:
    return 2 * _sigmoid(2 * z) - 1


def _decimals(array: Array) -> list[Decimal]:
    return [Decimal(v) for v in np.asarray(array, np.float64).tolist()]


def _dot(a: Sequence[Decimal], b: Sequence[Decimal]) -> Decimal:
    return sum(map(mul, a, b), Decimal(0))


def exact_residuals(
    w: DirectionWeights, x: Array, before: Array, c0: Array, y: Array, c_n: Array, rows: Array, units: Array
) -> tuple[Array, Array]:
    """y - h [T, K] and c_n - c [K] of the K elements (rows[k], units[k]), correct to the last digits of float64.

    x [T, B, I], before [T, B, H] the h' of each step, c0, c_n [B, H], y [T, B, H]: all finite, without projection or peepholes.
    """
    hidden = len(w.w_hh) // 4
    of_y, of_c = np.empty((len(x), len(rows))), np.empty(len(rows))
    bias = np.zeros((2, 4 * hidden)) if w.b_ih is None or w.b_hh is None else np.stack([w.b_ih, w.b_hh])
    with localcontext() as context:
        context.prec = DIGITS
        reads = {b: [_decimals(np.concatenate([x[t, b], before[t, b], [1, 1]])) for t in range(len(x))] for b in set(rows)}
        packed = np.concatenate([w.w_ih, w.w_hh, bias.T], axis=1)
        weights = {j: [_decimals(packed[k * hidden + j]) for k in range(4)] for j in set(units)}
        for k, (b, j) in enumerate(zip(rows, units, strict=True)):
            c = Decimal(float(c0[b, j]))
            for t in range(len(x)):
                i, f, g, o = (_dot(row, reads[b][t]) for row in weights[j])
                c = _sigmoid(f) * c + _sigmoid(i) * _tanh(g)
                of_y[t, k] = float(Decimal(float(y[t, b, j])) - _sigmoid(o) * _tanh(c))
            of_c[k] = float(Decimal(float(c_n[b, j])) - c)
    return of_y, of_c
