"""Effective bits: in how many bits did the backend compute?

The certificate asks whether a result is possible; this asks whether it is likely. For each residual y - h the typical rounding
error at u = 1 is propagated through the equations as a variance, and

    effective_bits = -log2 sqrt((sum of residual^2 + units (signed mean)^2) / sum of typical^2)

float32 measures 24 and float64 53 at every size, to within one bit; TF32 operands measure about 11, bfloat16 operands 8. In 16
bits the unit is the rounding of h alone, whatever else was rounded. A float64 residual also contains the certificate's own
rounding, so 53 is the maximum.

The mean square error of one rounding is ROUNDING times the square of the rounded number. A sum z of n products rounds n partial
sums; with terms of random sign the k-th partial sum is on average k/n of z, and spreads around that like a Brownian bridge
with the variance of the terms, (pi/2) (sum |term| / n)^2 for normal ones. Summed over k: n z^2 / 3 + (pi/12) (sum |term|)^2;
relative to z that error grows with sqrt(n), where the bound grows with n.
"""

from __future__ import annotations

import numpy as np

from lstm_parity.backends import LSTMSpec
from lstm_parity.backends.problem import Array

from .roundoff import OWN, ROUNDOFF

ROUNDING = 0.18
"""Mean square of a rounding error in units of (u x)^2: E[1/m^2] / 3 for a mantissa m in 1..2 of log-uniform density."""

ACTIVATION = 0.3
"""The same for sigmoid and tanh, which libraries compute to about one unit in the last place."""

MIN_VALUES = 32
"""Fewer elements than this do not determine a root mean square."""

AUDITED_VALUES = 1 << 16
"""About this many elements of h are audited: the first rows' first steps."""


class Audit:
    """Accumulates residuals while a layer is certified: `start` for each direction, then `step`, then `compare`."""

    def __init__(self, spec: LSTMSpec, steps: int, batch: int) -> None:
        kind = ROUNDOFF[spec.precision]
        self._storage_only = kind.inside > 0
        self._hidden = spec.hidden_size
        self._terms = spec.input_size + spec.state_size + 2
        self._steps = max(1, min(steps, AUDITED_VALUES // spec.hidden_size))
        self._rows = max(1, min(batch, AUDITED_VALUES // (spec.hidden_size * self._steps)))
        self._units = spec.output_size
        self._variance_c = np.empty(0)
        self._variances: list[Array] = []
        self._seen = self._new = 0
        self._squares = self._typical = self._signed = self._towards_zero = 0.0
        self._count = 0

    def start(self, c: Array) -> None:
        """A direction begins, from c [B, H]."""
        self._variance_c = np.zeros((min(self._rows, len(c)), self._hidden))
        self._seen = self._new = 0
        self._variances = []

    def step(self, sizes: Array, zs: list[Array], gates: tuple[Array, ...], c: Array, t: Array, valid: Array | None) -> None:
        """Process n steps: sizes [n, B, 4H] sums of |terms|, zs and gates four of [n, B, H], c [n + 1, B, H], t = tanh c."""
        n = min(len(t), self._steps - self._seen)
        if n <= 0:
            return
        self._seen += n
        self._new += n
        if self._storage_only:
            return
        part = (slice(n), slice(self._rows))
        i, f, g, o = (gate[part] for gate in gates)
        sums = []
        for k in range(4):
            size = sizes[part][..., k * self._hidden : (k + 1) * self._hidden]
            sums.append(ROUNDING * ((self._terms / 3 + 1) * zs[k][part] ** 2 + np.pi / 12 * size**2))
        of_i, of_f, of_o = ((s * (1 - s)) ** 2 * v + ACTIVATION * s**2 for s, v in ((i, sums[0]), (f, sums[1]), (o, sums[3])))
        of_g = (1 - g**2) ** 2 * sums[2] + ACTIVATION * g**2
        before, after, tanh_c = c[:n, : self._rows], c[1 : n + 1, : self._rows], t[part]
        added = before**2 * of_f + i**2 * of_g + g**2 * of_i + ROUNDING * ((f * before) ** 2 + (i * g) ** 2 + after**2)
        of_c = np.empty_like(after)
        for s in range(n):
            new = f[s] ** 2 * self._variance_c + added[s]
            self._variance_c = new if valid is None else np.where(valid[s, : self._rows, None], new, self._variance_c)
            of_c[s] = self._variance_c
        of_t = (1 - tanh_c**2) ** 2 * of_c + ACTIVATION * tanh_c**2
        self._variances.append(o**2 * of_t + tanh_c**2 * of_o + ROUNDING * (o * tanh_c) ** 2)

    def compare(self, y: Array, m: Array, h: Array, w_hr: Array | None, valid: Array | None) -> None:
        """Compare h [n, B, R] of the steps since the last call with the backend's y; m [n, B, H]: h before projection."""
        n, self._new = self._new, 0
        if n == 0:
            return
        part = (slice(n), slice(self._rows))
        h, residual = h[part], y[part] - h[part]
        typical = ROUNDING * h**2
        if not self._storage_only:
            variance = np.concatenate(self._variances)
            self._variances = []
            if w_hr is None:
                typical += variance
            else:
                size = np.abs(m[part]) @ np.abs(w_hr).T
                typical += variance @ np.square(w_hr).T + ROUNDING * (self._hidden / 3 * h**2 + np.pi / 12 * size**2)
        counted = np.isfinite(residual) & np.isfinite(typical)
        if valid is not None:
            counted &= valid[part][..., None]
        residual = residual[counted]
        self._squares += float(np.square(residual).sum())
        self._typical += float(typical[counted].sum())
        self._signed += float(residual.sum())
        self._towards_zero += float((residual * np.sign(h[counted])).sum())
        self._count += int(counted.sum())

    def effective_bits(self) -> float:
        """Over all accumulated residuals; NaN for fewer than MIN_VALUES, or where no rounding could have happened."""
        if self._count < MIN_VALUES or self._typical == 0:
            return float("nan")
        mean = max(abs(self._signed), abs(self._towards_zero)) / self._count
        squares = self._squares / self._count + self._units * mean**2
        typical = self._typical / self._count
        return float(-0.5 * np.log2(max(squares / typical, OWN**2)))
