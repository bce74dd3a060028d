"""The residual certificate: does the output of ONE layer satisfy the equations to within the rounding of its precision?

An error bound propagated through the recurrence grows by a factor |U| a step and is soon infinite. This one uses the backend's
own output instead: y is taken as given, and each step is recomputed in float64 from h' = y[t-1] (h0 at the start) and from the
c that the certificate computes itself. The difference is then one step's rounding, and what has accumulated in c, which the
forget gate damps. The backend agrees if |y - h| <= dh everywhere, |c_n - c| <= dc, h_n is y at the last valid step, y past
a row's length is 0, and a row of length 0 gives its initial state back.

Derivation. d. bounds |the backend's value - the certificate's value|, so each line contains the backend's rounding and the
certificate's own. u below is the sum of both roundoffs, that of the backend's arithmetic and 2^-53; roundoff.py has u_s
(storage), e (intermediates kept in 16 bits), u_m (operands of products) and tiny; w is 1 in 16 bits, else 0. N. J. Higham,
Accuracy and Stability of Numerical Algorithms, 2nd ed., ch. 3: a sum of n products, in any order and with or without fused
multiply-add, is the exact one of factors perturbed by gamma_n; and gamma_n of two roundoffs add up to at most gamma_n of
their sum.

    dh'  = e |h'| + w tiny                                  h may be kept wider than it is stored
    base = gamma_n (|W||x| + |U||h'| + |b_ih| + |b_hh|)     n = I + R + 2, and 2 more with peepholes
         + (2 u_m + u_m^2) (|W||x| + |U||h'|) + |U| dh' + (n + 1 + 3 w) tiny
    P    = (1 + e) base + e (|W x|' + |U h'|' + |b_ih + b_hh|)    what is rounded to 16 bits: e times its value, base included;
                                                            |W x|' is the larger of |W x| and |W x + b_ih|, |U h'|' likewise:
                                                            a bias may be added before or after, or to the other bias first
         + |p| (dc' + (gamma_n + e) (|c'| + dc'))           peepholes; the output gate's with the new c and dc
    dz   = (1 + e) P + e |z|                                the sum rounded to 16 bits
    ds   = (1 + e) (S(z, dz) + a u) + e |s| + w tiny        a u: the backend's activation_ulps, and NumPy's own error
    dc   = (1 + r) (F dc' + |c'| df + i dg + (|g| + dg) di) + r (|f c'| + |i g|) + 3 tiny
    dh   = (1 + q) (min(o + do, top) dt + |tanh c| do) + q |h| + 3 tiny                t = tanh c
    projected: dh <- (1 + u_s) |W_hr| (dh + (gamma_H + 2 u_m + u_m^2) (|h| + dh)) + u_s |W_hr h| + (H + 1) tiny

S(z, dz) is the largest change of the activation within z - dz .. z + dz, exact because it is monotone: with t = exp(-|z|) and E
= exp(dz) - 1 it is t E / ((1 + t) (1 + t + t E)) for the sigmoid, free of cancellation; tanh z = 2 sigmoid(2 z) - 1. No gate
passes top = 1 + a u, so F = min(f + df, top). r = 3 (u_s + 2^-53) for two products and their sum, each of which may be rounded
to storage; q = 2 u + u_s. r F dc' is of second order: the backend's rounding is relative to its own c, which is off by dc'. It
matters only where dc has grown as large as c; without it the bound would be unsound there.

The bounds are sums and products of positive numbers, so the relative error of evaluating them is gamma of the longest chain of
operations: one for each term, a few for each step. They are multiplied by 1 + that gamma at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.numpy_reference import reverse_valid
from lstm_parity.backends.problem import Array

from .audit import Audit
from .location import Found, Location
from .roundoff import OWN, ROUNDOFF, gamma

NUMPY_ACTIVATION_ULPS = 4
"""Absolute error of NumPy's float64 sigmoid and tanh, in units of 2^-53; the tests measure that it is smaller."""

VALUES_PER_BLOCK = 1 << 17
"""Gate values computed at a time: enough for fast matrix products, few enough to stay in the cache."""


@dataclass(frozen=True)
class Certificate:
    """Whether one layer's result satisfies the equations."""

    agrees: bool
    error_bound_ratio: float
    """Largest error over its bound, 1 is the limit."""
    max_error: float
    """Largest |y - h|."""
    worst: Location
    """The element with that ratio."""
    first_bad: Location | None
    """The first element past its bound in the order of computation."""
    effective_bits: float
    """See audit.py; NaN where nothing could be measured."""


def certify(
    spec: LSTMSpec,
    weights: LSTMWeights,
    x: Array,
    state: LSTMState,
    lengths: Array | None,
    y: Array,
    last: LSTMState,
    activation_ulps: float = 4,
) -> Certificate:
    """Check the result of one layer, on the rows passed: any subset of a batch's rows, since rows are independent.

    x [T, B, I], state.h [D, B, R], state.c [D, B, H], lengths int64 [B] or None; y [T, B, D*R] and `last`, shaped like the
    state, are the backend's. The caller checks shapes and dtypes. Raises ValueError for more than one layer.
    """
    if spec.num_layers != 1:
        raise ValueError(f"the certificate checks one layer, not {spec.num_layers}")
    r = spec.state_size
    found = Found()
    audit = Audit(spec, len(x), x.shape[1])
    with np.errstate(all="ignore"):
        for d, w in enumerate(weights.layers[0]):
            direction = _Direction(spec, w, d, len(x), activation_ulps)
            part = y[:, :, d * r : (d + 1) * r]
            direction.check(x, state.h[d], state.c[d], lengths, part, last.h[d], last.c[d], found, audit)
    assert found.worst is not None
    return Certificate(
        found.first_bad is None, found.worst.ratio, found.max_error, found.worst, found.first_bad, audit.effective_bits()
    )


def _rise(d: Array, z: Array, t: Array) -> Array:
    """t (exp(d) - 1) for t = exp(-z), z >= 0, and never below it: exp(d) - 1 <= d + (e - 2) d^2 up to d = 1."""
    small = t * d
    small *= 1 + (np.e - 2) * d
    if float(np.max(d)) <= 1:
        return np.asarray(small)
    large = np.exp(np.minimum(d - z, 700.0)) - t  # exp(700) is finite, and large enough to saturate the callers
    return np.where(d <= 1, small, large)


def _sigmoid(z: Array, dz: Array) -> tuple[Array, Array]:
    """sigmoid(z), and its largest change within z - dz .. z + dz."""
    size = np.abs(z)
    t = np.exp(-size)
    large = 1 / (1 + t)
    rise = _rise(dz, size, t)
    return np.where(z < 0, t * large, large), large * (rise / (1 + t + rise))


def _tanh(z: Array, dz: Array) -> tuple[Array, Array]:
    """tanh(z), and its largest change within z - dz .. z + dz."""
    size = np.abs(2 * z)
    t = np.exp(-size)
    rise = _rise(2 * dz, size, t)
    return np.tanh(z), 2 * rise / ((1 + t) * (1 + t + rise))


class _Direction:
    """One direction of the layer: its weights in float64, and the constants of the derivation under their names there."""

    def __init__(self, spec: LSTMSpec, weights: DirectionWeights, d: int, steps: int, activation_ulps: float) -> None:
        kind = ROUNDOFF[spec.precision]
        self.d, self.hidden = d, spec.hidden_size
        self.w = weights.astype(np.float64)
        terms = spec.input_size + spec.state_size + (4 if spec.peephole else 2)
        u = kind.arithmetic + OWN
        self.e, self.u_s, self.tiny, wide = kind.inside, kind.storage, kind.tiny, kind.inside > 0
        self.tiny_inside = kind.tiny if wide else 0.0
        self.gamma, self.gamma_h = gamma(terms, u), gamma(spec.hidden_size, u)
        self.products = 2 * kind.operands + kind.operands**2
        self.activation = activation_ulps * kind.arithmetic + NUMPY_ACTIVATION_ULPS * OWN
        self.top = 1 + self.activation
        self.r, self.q = 3 * (kind.storage + OWN), 2 * u + kind.storage
        self.evaluation = 1 + gamma(terms + spec.hidden_size + 8 * steps + 64, OWN)
        self.abs_ih, self.abs_hh = np.abs(self.w.w_ih).T, np.abs(self.w.w_hh).T
        constant = self.tiny_inside * self.abs_hh.sum(axis=0) + (terms + 1 + 3 * wide) * kind.tiny
        for bias in (self.w.b_ih, self.w.b_hh):
            if bias is not None:
                constant += self.gamma * np.abs(bias)
        self.constant = constant

    def check(
        self,
        x: Array,
        h0: Array,
        c0: Array,
        lengths: Array | None,
        y: Array,
        h_n: Array,
        c_n: Array,
        found: Found,
        audit: Audit,
    ) -> None:
        """Compare every element of y [T, B, R], h_n [B, R] and c_n [B, H], and record the result in `found`."""
        if self.d == 1:
            x, y = reverse_valid(x, lengths), reverse_valid(y, lengths)
        total, batch = x.shape[:2]
        count = np.full(batch, total) if lengths is None else lengths
        order = np.arange(total)[:, None]
        valid = None if bool(np.all(count == total)) else order < count
        steps = np.where(order < count, count - 1 - order, order) if self.d else np.broadcast_to(order, (total, batch))

        c, dc, h = c0.astype(np.float64), np.zeros(c0.shape), h0.astype(np.float64)
        audit.start(c)
        block = max(1, VALUES_PER_BLOCK // (4 * self.hidden * batch))
        for start in range(0, total, block):
            part = slice(start, min(start + block, total))
            now = None if valid is None else valid[part]
            xs, ys = x[part].astype(np.float64), y[part].astype(np.float64)
            before = np.concatenate([h[None], ys[:-1]])
            h = ys[-1]
            if now is not None:
                xs, before = (np.where(now[..., None], a, 0.0) for a in (xs, before))
            z, bound, size = self._pre_activations(xs, before)
            expected, allowed, c, dc = self._outputs(z, bound, size, c, dc, now, ys, audit)
            found.look("y", self.d, start, steps[part], ys, expected, allowed, now)
            if now is not None and not np.all(now):
                found.look("y", self.d, start, steps[part], ys, np.zeros(1), np.zeros(1), ~now)

        end = np.maximum(count - 1, 0)
        last = np.where(count > 0, np.take_along_axis(steps, end[None], axis=0)[0], -1)[None]
        kept = np.where(count[:, None] > 0, np.take_along_axis(y, end[None, :, None], axis=0)[0], h0)
        for quantity, got, expected, allowed in (("h_n", h_n, kept, np.zeros((1, 1))), ("c_n", c_n, c, dc * self.evaluation)):
            arrays = (np.asarray(a).astype(np.float64)[None] for a in (got, expected, allowed))
            found.look(quantity, self.d, total, last, *arrays)

    def _pre_activations(self, x: Array, h: Array) -> tuple[Array, Array, Array]:
        """z, P without peepholes, and |W||x| + |U||h'|, each [n, B, 4H], for x [n, B, I] and h' [n, B, R]."""
        w, e, (n, batch) = self.w, self.e, x.shape[:2]
        x, h = x.reshape(n * batch, -1), h.reshape(n * batch, -1)
        z, uh = x @ w.w_ih.T, h @ w.w_hh.T
        wx_size, uh_size, bias_size = np.abs(z), np.abs(uh), 0.0
        if w.b_ih is not None and w.b_hh is not None:
            z += w.b_ih
            uh += w.b_hh
            bias_size = np.abs(w.b_ih + w.b_hh)
        size, size_h = np.abs(x) @ self.abs_ih, np.abs(h) @ self.abs_hh
        size += size_h
        bound = (self.gamma + self.products) * size
        bound += self.constant
        if e:
            bound += e * size_h
            bound *= 1 + e
            bound += e * (np.maximum(wx_size, np.abs(z)) + np.maximum(uh_size, np.abs(uh)) + bias_size)
        z += uh
        shape = (n, batch, 4 * self.hidden)
        return z.reshape(shape), bound.reshape(shape), size.reshape(shape)

    def _outputs(
        self, z: Array, bound: Array, size: Array, c: Array, dc: Array, valid: Array | None, y: Array, audit: Audit
    ) -> tuple[Array, Array, Array, Array]:
        """h and its bound [n, B, R], and c and its bound [B, H] after the last step, from c and dc before the first."""
        h, dh = np.empty((2, *z.shape[:2], self.hidden))
        # a peephole reads the c of the step before, so the gates are then computed step by step, too
        span = len(z) if self.w.peephole is None else 1
        for start in range(0, len(z), span):
            part = slice(start, start + span)
            now = None if valid is None else valid[part]
            h[part], dh[part], c, dc = self._cells(z[part], bound[part], size[part], c, dc, now, audit)
        unprojected = h
        if self.w.w_hr is not None:
            rows = z.shape[0] * z.shape[1]
            inner = dh + (self.gamma_h + self.products) * (np.abs(h) + dh)
            w_hr = self.w.w_hr
            h = (h.reshape(rows, -1) @ w_hr.T).reshape(y.shape)
            dh = (inner.reshape(rows, -1) @ np.abs(w_hr).T).reshape(y.shape) * (1 + self.u_s)
            dh += self.u_s * np.abs(h) + (self.hidden + 1) * self.tiny
        audit.compare(y, unprojected, h, self.w.w_hr, valid)
        dh *= self.evaluation
        return h, dh, c, dc

    def _cells(
        self, z: Array, bound: Array, size: Array, c: Array, dc: Array, valid: Array | None, audit: Audit
    ) -> tuple[Array, Array, Array, Array]:
        """o tanh(c) and its bound [n, B, H], and c and its bound [B, H] after the last of n steps."""
        n, peephole, hidden = len(z), self.w.peephole, self.hidden
        zs = [z[..., k * hidden : (k + 1) * hidden] for k in range(4)]
        bounds = [bound[..., k * hidden : (k + 1) * hidden] for k in range(4)]
        if peephole is not None:
            for k in range(2):
                zs[k], bounds[k] = self._peep(zs[k], bounds[k], peephole[k], c, dc)
        i, di = self._activate(_sigmoid, zs[0], bounds[0])
        f, df = self._activate(_sigmoid, zs[1], bounds[1])
        g, dg = self._activate(_tanh, zs[2], bounds[2])

        ig = i * g
        factor = np.minimum(f + df, self.top)
        if valid is not None:  # past a row's length the state does not change
            f, factor = (np.where(valid[..., None], a, 1.0) for a in (f, factor))
            ig = np.where(valid[..., None], ig, 0.0)
        cs = np.empty((n + 1, *c.shape))
        cs[0] = c
        for s in range(n):
            np.multiply(f[s], cs[s], out=cs[s + 1])
            cs[s + 1] += ig[s]
        grown = i * dg
        grown += (np.abs(g) + dg) * di
        grown += np.abs(cs[:-1]) * df
        grown *= 1 + self.r
        grown += self.r * (f * np.abs(cs[:-1]) + np.abs(ig)) + 3 * self.tiny
        factor *= 1 + self.r
        if valid is not None:
            factor, grown = np.where(valid[..., None], factor, 1.0), np.where(valid[..., None], grown, 0.0)
        if not np.isfinite(cs[-1].sum()):  # an infinite c is infinite in every arithmetic
            infinite = np.isinf(cs[1:])
            factor, grown = np.where(infinite, 0.0, factor), np.where(infinite, 0.0, grown)
        dcs = np.empty((n + 1, *c.shape))
        dcs[0] = dc
        for s in range(n):
            np.multiply(factor[s], dcs[s], out=dcs[s + 1])
            dcs[s + 1] += grown[s]

        if peephole is not None:
            zs[3], bounds[3] = self._peep(zs[3], bounds[3], peephole[2], cs[1:], dcs[1:])
        o, do = self._activate(_sigmoid, zs[3], bounds[3])
        t, dt = self._activate(_tanh, cs[1:], dcs[1:], rounded=False)
        h = o * t
        dh = np.minimum(o + do, self.top) * dt
        dh += np.abs(t) * do
        dh *= 1 + self.q
        dh += self.q * np.abs(h) + 3 * self.tiny
        audit.step(size, zs, (i, f, g, o), cs, t, valid)
        return h, dh, cs[-1], dcs[-1]

    def _peep(self, z: Array, bound: Array, p: Array, c: Array, dc: Array) -> tuple[Array, Array]:
        """z and P of one gate with its peephole's part, p [H] on c [..., B, H]."""
        return z + p * c, bound + np.abs(p) * (dc + (self.gamma + self.e) * (np.abs(c) + dc))

    def _activate(self, activation: object, z: Array, bound: Array, rounded: bool = True) -> tuple[Array, Array]:
        """The activation of z and the bound ds; rounded: z is a sum that may have been rounded to 16 bits."""
        assert callable(activation)
        e = self.e
        dz = (1 + e) * bound + e * np.abs(z) if e and rounded else bound
        if not np.isfinite(z.sum()):  # an infinite z is infinite in every order of summation
            dz = np.where(np.isfinite(z), dz, 0.0)
        s, ds = activation(z, dz)
        ds += self.activation
        if e:
            ds *= 1 + e
            ds += e * np.abs(s) + self.tiny_inside
        return s, ds
