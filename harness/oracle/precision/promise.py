"""How far is a result from what its precision lets one expect? In bits lost, 0 for what just keeps the promise.

The certificate asks whether a result is possible, the audit of a sweep's row how precise it was. This asks whether it was as
precise as promised: beside each residual stands the error that a backend that keeps its promise may have there, in two parts:

    may     what may err all one way: activations by activation_ulps u each, operands of tf32 that are cut instead of rounded.
            Followed through the equations as a sum of absolute values, so any such error is within it.
    typical what rounds either way, followed as a variance (see audit.py for a sum's): sums in float32 or float64, results
            rounded to storage, and in 16 bits products, sums, gates, tanh c and c. A number that storage holds exactly is
            not rounded.

    bits lost = log2 sqrt((sum of residual^2 + units mean^2) / sum of (may^2 + typical))

where mean is what the signed mean (or that towards zero) has beyond the mean of may. By the triangle inequality a right backend
whose roundings are as large as typical ones loses at most half a bit.

The equations may also be run with something rounded that must not be: a `Suspicion`. One that brings a residual down to what
is promised is what the backend does. No projection, no peepholes, one direction, all rows of full length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lstm_parity.backends.problem import Array

from ...problems.problem import Problem
from ..audit import ROUNDING
from ..results import Results
from ..roundoff import OWN, ROUNDOFF
from .exact_sums import exact_residuals

EXACT_VALUES = 288
"""About as many elements of y does float64 hold against exact sums: the more steps, the fewer at each."""

Rounding = Callable[[Array], Array]


@dataclass(frozen=True)
class Suspicion:
    """Something rounded that must not be. rounding: how, each time.

    places: any of "x", "W", "h'", "U" (operands of products), "gates" (i, f, o), "g", "c0", "c", "h".
    """

    places: frozenset[str]
    rounding: Rounding

    def at(self, place: str, array: Array) -> Array:
        """The array as it is at that place."""
        return self.rounding(array) if place in self.places else array


NOTHING = Suspicion(frozenset(), lambda a: a)


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


def bits_lost(problem: Problem, results: Results, activation_ulps: float, suspicion: Suspicion = NOTHING) -> float:
    """The larger of what y and c_n lose; infinite where one of them is NaN or infinite and the equations are not.

    problem: as above. float64 without a suspicion is held against exact sums in some of its elements, everything else against
    float64 in all of them. With a suspicion the median element is asked, not the root mean square: where the backend's own
    rounding before the suspected one differs from none, an element is now and then rounded the other way.
    """
    with np.errstate(all="ignore"):
        return _Step(problem, activation_ulps, suspicion).run(results)


class _Step:
    """The equations in float64, with what may err (may) and the variance of what rounds (var) beside each quantity."""

    def __init__(self, problem: Problem, activation_ulps: float, suspicion: Suspicion) -> None:
        self.problem, self.s, kind = problem, suspicion, ROUNDOFF[problem.spec.precision]
        self.u, self.e, self.u_s = kind.arithmetic, kind.inside, kind.storage
        self.u_m = kind.operands if suspicion is NOTHING else 0.0  # a suspicion says itself what happens to operands
        self.tiny, self.a = kind.tiny, activation_ulps * kind.arithmetic
        self.w = problem.weights.layers[0][0].astype(np.float64)
        self.terms = problem.spec.input_size + problem.spec.state_size + 2
        self.input, self.hidden = suspicion.at("W", self.w.w_ih), suspicion.at("U", self.w.w_hh)

    def run(self, results: Results) -> float:
        i = self.problem.inputs
        x, y = np.asarray(i.x, np.float64), np.asarray(results.y, np.float64)
        before = np.concatenate([np.asarray(i.state.h, np.float64), y[:-1]])
        c0, c_n = np.asarray(i.state.c[0], np.float64), np.asarray(results.c_n[0], np.float64)
        h, may, var = np.empty((3, *y.shape))
        c, may_c, var_c = self.s.at("c0", c0), np.zeros(c0.shape), np.zeros(c0.shape)
        for t in range(len(x)):
            gates = self._gates(x[t], before[t], first=t == 0)
            (c, may_c, var_c), (h[t], may[t], var[t]) = self._cell(gates, c, may_c, var_c)
        var_c = var_c + self._rounded(c, self.u_s)
        of_y, of_c = y - h, c_n - c
        if self.problem.spec.precision == "float64" and self.s is NOTHING and np.isfinite([y.sum(), c_n.sum()]).all():
            at = np.random.default_rng(0).permutation(c.size)[: max(16, EXACT_VALUES // len(x))]
            rows, units = np.unravel_index(at, c.shape)
            of_y, of_c = exact_residuals(self.w, x, before, c0, y, c_n, rows, units)
            h, may, var = (array[:, rows, units] for array in (h, may, var))
            c, may_c, var_c = (array[rows, units] for array in (c, may_c, var_c))
        return max(self._lost(of_y, h, may, var), self._lost(of_c, c, may_c, var_c))

    def _rounded(self, value: Array, u: float) -> Array:
        """Variance of one rounding to storage with roundoff u."""
        exact = value.astype(self.problem.spec.dtype).astype(np.float64) == value
        return np.where(exact, 0.0, ROUNDING * (u * value) ** 2 + self.tiny**2)

    def _gates(self, x: Array, h: Array, first: bool) -> list[tuple[Array, Array, Array]]:
        """i, f, g, o, each with its may and its variance [B, H], from x [B, I] and h' [B, H]."""
        x, h = self.s.at("x", x), self.s.at("h'", h)
        wx, uh = x @ self.input.T, h @ self.hidden.T
        b_ih, b_hh = (np.zeros(wx.shape[1]) if b is None else b for b in (self.w.b_ih, self.w.b_hh))
        bias = b_ih + b_hh
        z = wx + uh + bias
        size = np.abs(x) @ np.abs(self.input).T + np.abs(h) @ np.abs(self.hidden).T + np.abs(b_ih) + np.abs(b_hh)
        var = ROUNDING * self.u**2 * ((self.terms / 3 + 1) * z**2 + np.pi / 12 * size**2)
        may = np.zeros(z.shape)
        if self.u_m:
            squares = np.square(x) @ np.square(self.input).T + np.square(h) @ np.square(self.hidden).T
            var += 2 * ROUNDING * self.u_m**2 * squares
            may += self.u_m * np.abs(wx + uh)  # operands that are cut: each is on average 0.36 u_m smaller
        if self.e:
            for part in (wx, uh, wx + b_ih, uh + b_hh, np.broadcast_to(bias, z.shape), z):  # either bias first, or both
                var += self._rounded(part, self.e)
            if not first:  # h may be kept wider than it was stored
                var += ROUNDING * self.e**2 * (np.square(h) @ np.square(self.hidden).T)
        found = []
        for k in range(4):
            part = slice(k * self.problem.spec.hidden_size, (k + 1) * self.problem.spec.hidden_size)
            activation, place = (np.tanh, "g") if k == 2 else (_sigmoid, "gates")
            found.append(self._activated(activation, z[:, part], may[:, part], var[:, part], place))
        return found

    def _activated(self, activation: Rounding, z: Array, may: Array, var: Array, place: str) -> tuple[Array, Array, Array]:
        s = activation(z)
        slope = 1 - s**2 if activation is np.tanh else s * (1 - s)
        var = slope**2 * var + ROUNDING * (self.u * s) ** 2
        return self.s.at(place, s), slope * may + self.a, var + (2 * self._rounded(s, self.e) if self.e else 0)

    def _cell(
        self, gates: list[tuple[Array, Array, Array]], c: Array, may_c: Array, var_c: Array
    ) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
        """The new c and h, each with its may and its variance [B, H]."""
        (i, may_i, var_i), (f, may_f, var_f), (g, may_g, var_g), (o, may_o, var_o) = gates
        fc, ig = f * c, i * g
        may_c = f * may_c + np.abs(c) * may_f + i * may_g + np.abs(g) * may_i
        var_c = f**2 * var_c + c**2 * var_f + i**2 * var_g + g**2 * var_i
        c = self.s.at("c", fc + ig)
        var_c = var_c + ROUNDING * self.u**2 * (fc**2 + ig**2 + c**2)
        if self.e:
            var_c += self._rounded(fc, self.e) + self._rounded(ig, self.e) + self._rounded(c, self.e)
        t, may_t, var_t = self._activated(np.tanh, c, may_c, var_c, "tanh c")
        h = o * t
        may_h = o * may_t + np.abs(t) * may_o
        var_h = o**2 * var_t + t**2 * var_o + ROUNDING * (self.u * h) ** 2 + self._rounded(h, self.u_s)
        return (c, may_c, var_c), (self.s.at("h", h), may_h, var_h)

    def _lost(self, residual: Array, expected: Array, may: Array, var: Array) -> float:
        """Bits lost over these elements; where both sides are not finite, they agree."""
        counted = np.isfinite(expected + may + var)
        residual, may, var, expected = (array[counted] for array in (residual, may, var, expected))
        if not len(residual):
            return -float("inf")
        if not np.isfinite(residual).all():
            return float("inf")
        if self.s is not NOTHING:
            return float(0.5 * np.log2(max(np.median(residual**2 / (may**2 + var + OWN**4)), OWN**2)))
        signed = max(abs(float(residual.sum())), abs(float((residual * np.sign(expected)).sum()))) / len(residual)
        mean = max(0.0, signed - float(may.mean()))
        allowed = float((may**2 + var).sum()) + OWN**4 * len(residual)
        squares = float(np.square(residual).sum()) + len(residual) * self.problem.spec.hidden_size * mean**2
        return float(0.5 * np.log2(max(squares / allowed, OWN**2)))
