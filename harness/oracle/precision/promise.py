"""How much less precise is a result than its precision promises? In bits lost; 0 is the limit of the promise.

The certificate asks whether a result is possible, the audit of a sweep's row how precise it was. This asks whether it was as
precise as promised: each residual is compared with the error that the promise allows there, in two parts:

    systematic  errors that may have a common sign: activations by activation_ulps u each, truncated operands of tf32.
                Propagated through the equations as a sum of absolute values, so it bounds any such error.
    var         variance of errors with random signs (see audit.py for a sum's): sums in float32 or float64, results rounded
                to storage, and in 16 bits products, sums, gates, tanh c and c. A number that storage represents exactly is
                not rounded.

    bits lost = log2 sqrt((sum of residual^2 + units mean^2) / sum of (systematic^2 + var))

where mean is the excess of the signed mean (or that towards zero) over the mean of systematic. By the triangle inequality a
right backend whose roundings are of typical size loses at most half a bit.

The equations may also be evaluated with a quantity rounded that must not be: an `AssumedRounding`. If it brings the residuals
within the promise, it is what the backend does. No projection, no peepholes, one direction, all rows of full length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lstm_parity.backends.problem import Array

from ...problems.problem import Problem
from ...problems.rows import sample_elements
from ..audit import ROUNDING
from ..results import Results
from ..roundoff import OWN, ROUNDOFF
from .exact_sums import exact_residuals

EXACT_VALUES = 288
"""About this many elements of a float64 y are compared with exact sums: the more steps, the fewer at each."""

Rounding = Callable[[Array], Array]


@dataclass(frozen=True)
class AssumedRounding:
    """Quantities that are rounded although they must not be."""

    places: frozenset[str]
    """Any of "x", "W", "h'", "U" (operands of products), "gates" (i, f, o), "g", "c0", "c", "h"."""
    rounding: Rounding

    def at(self, place: str, array: Array) -> Array:
        """The array, rounded if this is one of the places."""
        return self.rounding(array) if place in self.places else array


NOTHING = AssumedRounding(frozenset(), lambda a: a)


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


def bits_lost(problem: Problem, results: Results, activation_ulps: float, assumed: AssumedRounding = NOTHING) -> float:
    """The larger of what y and c_n lose; infinite where one of them is NaN or infinite and the equations are not.

    problem: as above. float64 without an assumed rounding is compared with exact sums in some elements, everything else with
    float64 in all of them. With an assumed rounding the median element counts, not the root mean square: errors before it turn
    the rounding of some elements the other way.
    """
    with np.errstate(all="ignore"):
        return _Equations(problem, activation_ulps, assumed).run(results)


class _Equations:
    """The equations in float64, with the systematic and the variance of each quantity's error."""

    def __init__(self, problem: Problem, activation_ulps: float, assumed: AssumedRounding) -> None:
        self.problem, self.assumed, kind = problem, assumed, ROUNDOFF[problem.spec.precision]
        self.u, self.e, self.u_s = kind.arithmetic, kind.inside, kind.storage
        self.u_m = kind.operands if assumed is NOTHING else 0.0  # an assumed rounding defines what happens to operands
        self.tiny, self.a = kind.tiny, activation_ulps * kind.arithmetic
        self.w = problem.weights.layers[0][0].astype(np.float64)
        self.terms = problem.spec.input_size + problem.spec.state_size + 2
        self.input, self.hidden = assumed.at("W", self.w.w_ih), assumed.at("U", self.w.w_hh)

    def run(self, results: Results) -> float:
        i = self.problem.inputs
        x, y = np.asarray(i.x, np.float64), np.asarray(results.y, np.float64)
        before = np.concatenate([np.asarray(i.state.h, np.float64), y[:-1]])
        c0, c_n = np.asarray(i.state.c[0], np.float64), np.asarray(results.c_n[0], np.float64)
        h, systematic, var = np.empty((3, *y.shape))
        c, systematic_c, var_c = self.assumed.at("c0", c0), np.zeros(c0.shape), np.zeros(c0.shape)
        for t in range(len(x)):
            gates = self._gates(x[t], before[t], first=t == 0)
            (c, systematic_c, var_c), (h[t], systematic[t], var[t]) = self._cell(gates, c, systematic_c, var_c)
        var_c = var_c + self._rounded(c, self.u_s)
        of_y, of_c = y - h, c_n - c
        if self.problem.spec.precision == "float64" and self.assumed is NOTHING and np.isfinite([y.sum(), c_n.sum()]).all():
            rows, units = sample_elements(c.shape, max(16, EXACT_VALUES // len(x)))
            of_y, of_c = exact_residuals(self.w, x, before, c0, y, c_n, rows, units)
            h, systematic, var = (array[:, rows, units] for array in (h, systematic, var))
            c, systematic_c, var_c = (array[rows, units] for array in (c, systematic_c, var_c))
        return max(self._lost(of_y, h, systematic, var), self._lost(of_c, c, systematic_c, var_c))

    def _rounded(self, value: Array, u: float) -> Array:
        """Variance of one rounding to storage with roundoff u."""
        exact = value.astype(self.problem.spec.dtype).astype(np.float64) == value
        return np.where(exact, 0.0, ROUNDING * (u * value) ** 2 + self.tiny**2)

    def _gates(self, x: Array, h: Array, first: bool) -> list[tuple[Array, Array, Array]]:
        """i, f, g, o, each with its systematic error and variance [B, H], from x [B, I] and h' [B, H]."""
        x, h = self.assumed.at("x", x), self.assumed.at("h'", h)
        wx, uh = x @ self.input.T, h @ self.hidden.T
        b_ih, b_hh = (np.zeros(wx.shape[1]) if b is None else b for b in (self.w.b_ih, self.w.b_hh))
        b = b_ih + b_hh
        z = wx + uh + b
        size = np.abs(x) @ np.abs(self.input).T + np.abs(h) @ np.abs(self.hidden).T + np.abs(b_ih) + np.abs(b_hh)
        var = ROUNDING * self.u**2 * ((self.terms / 3 + 1) * z**2 + np.pi / 12 * size**2)
        systematic = np.zeros(z.shape)
        if self.u_m:
            squares = np.square(x) @ np.square(self.input).T + np.square(h) @ np.square(self.hidden).T
            var += 2 * ROUNDING * self.u_m**2 * squares
            systematic += self.u_m * np.abs(wx + uh)  # truncated operands: each is on average 0.36 u_m smaller
        if self.e:
            for part in (wx, uh, wx + b_ih, uh + b_hh, np.broadcast_to(b, z.shape), z):  # either bias first, or both
                var += self._rounded(part, self.e)
            if not first:  # h may be wider than it was stored
                var += ROUNDING * self.e**2 * (np.square(h) @ np.square(self.hidden).T)
        found = []
        for k in range(4):
            part = slice(k * self.problem.spec.hidden_size, (k + 1) * self.problem.spec.hidden_size)
            activation, place = (np.tanh, "g") if k == 2 else (_sigmoid, "gates")
            found.append(self._activated(activation, z[:, part], systematic[:, part], var[:, part], place))
        return found

    def _activated(
        self, activation: Rounding, z: Array, systematic: Array, var: Array, place: str
    ) -> tuple[Array, Array, Array]:
        s = activation(z)
        slope = 1 - s**2 if activation is np.tanh else s * (1 - s)
        var = slope**2 * var + ROUNDING * (self.u * s) ** 2
        return self.assumed.at(place, s), slope * systematic + self.a, var + (2 * self._rounded(s, self.e) if self.e else 0)

    def _cell(
        self, gates: list[tuple[Array, Array, Array]], c: Array, systematic_c: Array, var_c: Array
    ) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
        """The new c and h, each with its systematic error and variance [B, H]."""
        (i, systematic_i, var_i), (f, systematic_f, var_f), (g, systematic_g, var_g), (o, systematic_o, var_o) = gates
        fc, ig = f * c, i * g
        systematic_c = f * systematic_c + np.abs(c) * systematic_f + i * systematic_g + np.abs(g) * systematic_i
        var_c = f**2 * var_c + c**2 * var_f + i**2 * var_g + g**2 * var_i
        c = self.assumed.at("c", fc + ig)
        var_c = var_c + ROUNDING * self.u**2 * (fc**2 + ig**2 + c**2)
        if self.e:
            var_c += self._rounded(fc, self.e) + self._rounded(ig, self.e) + self._rounded(c, self.e)
        t, systematic_t, var_t = self._activated(np.tanh, c, systematic_c, var_c, "tanh c")
        h = o * t
        systematic_h = o * systematic_t + np.abs(t) * systematic_o
        var_h = o**2 * var_t + t**2 * var_o + ROUNDING * (self.u * h) ** 2 + self._rounded(h, self.u_s)
        return (c, systematic_c, var_c), (self.assumed.at("h", h), systematic_h, var_h)

    def _lost(self, residual: Array, expected: Array, systematic: Array, var: Array) -> float:
        """Bits lost over these elements, without those where the equations are not finite."""
        counted = np.isfinite(expected + systematic + var)
        residual, systematic, var, expected = (array[counted] for array in (residual, systematic, var, expected))
        if not len(residual):
            return -float("inf")
        if not np.isfinite(residual).all():
            return float("inf")
        if self.assumed is not NOTHING:
            return float(0.5 * np.log2(max(np.median(residual**2 / (systematic**2 + var + OWN**4)), OWN**2)))
        signed = max(abs(float(residual.sum())), abs(float((residual * np.sign(expected)).sum()))) / len(residual)
        mean = max(0.0, signed - float(systematic.mean()))
        allowed = float((systematic**2 + var).sum()) + OWN**4 * len(residual)
        squares = float(np.square(residual).sum()) + len(residual) * self.problem.spec.hidden_size * mean**2
        return float(0.5 * np.log2(max(squares / allowed, OWN**2)))
