"""The equations of numpy_reference.py in a simulated arithmetic: every operation that rounds is a method of `Arithmetic`.

Operation by operation the same as there; see its docstring for the equations and the shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.numpy_reference import (
    COLUMNS_PER_PRODUCT,
    Step,
    Trace,
    reverse_valid,
    sigmoid,
    valid_rows,
    without_padding,
)
from lstm_parity.backends.problem import Array


@dataclass(eq=False)
class Arithmetic:
    """How numbers are computed and stored; a subclass adds its errors. This one adds none."""

    dtype: Any = np.float64
    """Of the arithmetic."""
    storage: Any = np.float64
    """Of y, of the states, and of h between two steps."""

    def load(self, array: Array) -> Array:
        """The array in the dtype of the arithmetic."""
        return np.asarray(array).astype(self.dtype, copy=False)

    def stored(self, array: Array) -> Array:
        """The array after it was written to storage and read back."""
        return array.astype(self.storage, copy=False).astype(self.dtype, copy=False)

    def product(self, a: Array, b: Array) -> Array:
        """The matrix product a @ b."""
        return a @ b

    def summed(self, a: Array, b: Array) -> Array:
        """a @ b [..., m, n] where the inner axis runs over steps and batch rows: the gradient of a weight."""
        return self.product(a, b)

    def rounded(self, array: Array) -> Array:
        """An intermediate quantity as the arithmetic keeps it."""
        return array

    def activated(self, array: Array) -> Array:
        """A sigmoid or tanh as the arithmetic computes and keeps it."""
        return self.rounded(array)


def _input_products(w: DirectionWeights, x: Array, arithmetic: Arithmetic) -> Iterator[Array]:
    """W x<t> + b_ih + b_hh [4H, B] for each step t of x [T, B, I]; read from x a block at a time."""
    steps, batch, width = x.shape
    block = max(1, COLUMNS_PER_PRODUCT // batch)
    bias = None if w.b_ih is None or w.b_hh is None else (w.b_ih + w.b_hh)[:, None]
    for start in range(0, steps, block):
        z = arithmetic.product(w.w_ih, arithmetic.load(x[start : start + block]).reshape(-1, width).T)
        if bias is not None:
            z += bias
        for t in range(0, z.shape[1], batch):
            yield z[:, t : t + batch]


def _forward_direction(
    w: DirectionWeights, x: Array, h0: Array, c0: Array, lengths: Array | None, arithmetic: Arithmetic, steps: list[Step] | None
) -> tuple[Array, Array, Array]:
    """One direction of one layer. x [T, B, I], h0 [B, R], c0 [B, H]; returns y [T, B, R], h_n [B, R], c_n [B, H].

    w is in the dtype of the arithmetic. Appends to `steps`, unless None, what backpropagation needs.
    """
    rounded, activated = arithmetic.rounded, arithmetic.activated
    hidden = len(w.w_hh) // 4
    y = np.empty((len(x), *h0.shape), arithmetic.storage)
    h, c = arithmetic.load(h0).T, arithmetic.load(c0).T  # a<0>, c<0>
    for t, input_product in enumerate(_input_products(w, x, arithmetic)):
        h_before, c_before = h, c
        z = rounded(arithmetic.product(w.w_hh, h_before)) + input_product
        i, f, g, o = (z[k * hidden : (k + 1) * hidden] for k in range(4))
        if w.peephole is not None:
            i += w.peephole[0][:, None] * c_before
            f += w.peephole[1][:, None] * c_before
        z[...] = rounded(z)
        i[...] = activated(sigmoid(i))  # Γu
        f[...] = activated(sigmoid(f))  # Γf
        g[...] = activated(np.tanh(g))  # c~
        c = rounded(rounded(f * c_before) + rounded(i * g))
        if w.peephole is not None:
            o += rounded(w.peephole[2][:, None] * c)
        o[...] = activated(sigmoid(o))  # Γo
        tanh_c = activated(np.tanh(c))
        h = unprojected = rounded(o * tanh_c)
        if w.w_hr is not None:
            unprojected = arithmetic.stored(unprojected)
            h = rounded(arithmetic.product(w.w_hr, unprojected))
        h = arithmetic.stored(h)

        if steps is not None:
            steps.append(Step(z, c_before, c, tanh_c, h_before, unprojected))
        y[t] = h.T
        valid = valid_rows(lengths, t)
        if valid is not None:  # past a row's length y is 0 and the state is unchanged
            y[t][~valid] = 0
            h = np.where(valid, h, h_before)
            c = np.where(valid, c, c_before)
    return y, h.T.astype(arithmetic.storage), c.T.astype(arithmetic.storage)


def forward(
    spec: LSTMSpec,
    weights: LSTMWeights,
    x: Array,
    state: LSTMState,
    lengths: Array | None,
    arithmetic: Arithmetic,
    trace: Trace | None = None,
) -> tuple[Array, LSTMState]:
    """Run an LSTM. With the default arithmetic: the float64 ground truth for inputs of any dtype.

    x [T, B, I], state.h [L*D, B, R], state.c [L*D, B, H], lengths int64 [B] or None. Returns y [T, B, D*R] and the final
    state, in the storage dtype of the arithmetic. Fills `trace`, where one is given, for `backward`.
    """
    h_n = np.empty(state.h.shape, arithmetic.storage)
    c_n = np.empty(state.c.shape, arithmetic.storage)
    if trace is not None:
        trace.lengths = lengths
    layer_input = without_padding(x, lengths)
    with np.errstate(all="ignore"):  # exp(-z) may overflow to infinity, and 1 / inf is the right 0
        for l, layer in enumerate(weights.layers):
            outputs = []
            for d, direction in enumerate(layer):
                k = l * spec.num_directions + d
                steps: list[Step] | None = None
                if trace is not None:
                    steps = []
                    trace.steps.append(steps)
                    trace.inputs.append(layer_input)
                read = layer_input if d == 0 else reverse_valid(layer_input, lengths)
                w = direction.astype(arithmetic.dtype)
                y, h_n[k], c_n[k] = _forward_direction(w, read, state.h[k], state.c[k], lengths, arithmetic, steps)
                outputs.append(y if d == 0 else reverse_valid(y, lengths))
            layer_input = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
    return layer_input, LSTMState(h_n, c_n)


def _backward_direction(
    w: DirectionWeights,
    x: Array,
    steps: list[Step],
    lengths: Array | None,
    grad_y: Array,
    grad_h: Array,
    grad_c: Array,
    arithmetic: Arithmetic,
) -> tuple[Array, Array, Array, DirectionWeights]:
    """Backpropagation through time for one direction of one layer, from what its forward saved in `steps`.

    x [T, B, I] and grad_y [T, B, R] in the order in which the direction read them; grad_h [B, R], grad_c [B, H]. Returns the
    gradients of x, h0 and c0, shaped like them, and of the weights.
    """
    rounded, product, summed = arithmetic.rounded, arithmetic.product, arithmetic.summed
    hidden = len(w.w_hh) // 4
    dh, dc = arithmetic.load(grad_h).T, arithmetic.load(grad_c).T
    dz_steps = [np.empty(0)] * len(steps)
    dh_steps = [np.empty(0)] * len(steps)
    for t in reversed(range(len(steps))):
        s = steps[t]
        i, f, g, o = (s.gates[k * hidden : (k + 1) * hidden] for k in range(4))
        dh_after, dc_after = dh, dc
        dh = rounded(dh_after + arithmetic.load(grad_y[t]).T)
        dm = dh if w.w_hr is None else rounded(product(w.w_hr.T, dh))  # of o * tanh(c)

        dz = np.empty_like(s.gates)
        dz_i, dz_f, dz_g, dz_o = (dz[k * hidden : (k + 1) * hidden] for k in range(4))
        dz_o[...] = rounded(dm * s.tanh_c * o * (1 - o))
        dc = rounded(dc_after + dm * o * (1 - s.tanh_c * s.tanh_c))
        if w.peephole is not None:
            dc += w.peephole[2][:, None] * dz_o
        dz_i[...] = rounded(dc * g * i * (1 - i))
        dz_f[...] = rounded(dc * s.c_before * f * (1 - f))
        dz_g[...] = rounded(dc * i * (1 - g * g))
        dc = rounded(dc * f)
        if w.peephole is not None:
            dc += w.peephole[0][:, None] * dz_i + w.peephole[1][:, None] * dz_f

        valid = valid_rows(lengths, t)
        if valid is not None:  # this step did not change such a row: its gradients pass through
            dz[:, ~valid] = 0
            dh = np.where(valid, dh, 0)
            dc = np.where(valid, dc, dc_after)
        dz_steps[t], dh_steps[t] = dz, dh
        dh = rounded(product(w.w_hh.T, dz))
        if valid is not None:
            dh = np.where(valid, dh, dh_after)

    dz = np.concatenate(dz_steps, axis=1)  # [4H, T*B], as everything below
    columns = arithmetic.load(x).reshape(-1, x.shape[2])
    ones = np.ones((dz.shape[1], 1), arithmetic.dtype)
    dx = rounded(product(w.w_ih.T, dz)).T.reshape(x.shape)
    db = summed(dz, ones)[..., 0]

    def all_steps(name: str) -> Array:
        return np.concatenate([getattr(s, name) for s in steps], axis=1)

    d_hr = d_peephole = None
    if w.w_hr is not None:
        d_hr = summed(np.concatenate(dh_steps, axis=1), all_steps("unprojected").T)
    if w.peephole is not None:
        c_before, c = all_steps("c_before"), all_steps("c")
        seen = ((dz[:hidden], c_before), (dz[hidden : 2 * hidden], c_before), (dz[3 * hidden :], c))
        d_peephole = np.stack([summed(rounded(gate * cell), ones)[..., 0] for gate, cell in seen], axis=-2)
    gradients = DirectionWeights(
        w_ih=summed(dz, columns),
        w_hh=summed(dz, all_steps("h_before").T),
        b_ih=None if w.b_ih is None else db,
        b_hh=None if w.b_hh is None else db.copy(),
        w_hr=d_hr,
        peephole=d_peephole,
    )
    return dx, dh.T, dc.T, gradients


def backward(
    spec: LSTMSpec,
    weights: LSTMWeights,
    trace: Trace,
    grad_y: Array,
    grad_state: LSTMState,
    arithmetic: Arithmetic,
) -> LSTMGradients:
    """Gradients of sum(y * grad_y) + sum(h_n * grad_state.h) + sum(c_n * grad_state.c), in the arithmetic's storage dtype.

    grad_y [T, B, D*R], grad_state shaped like the state; `trace` is what the training forward filled.
    """
    storage, r, lengths = arithmetic.storage, spec.state_size, trace.lengths
    dh0 = np.empty(grad_state.h.shape, storage)
    dc0 = np.empty(grad_state.c.shape, storage)
    layers: list[tuple[DirectionWeights, ...]] = []
    dy = without_padding(arithmetic.load(grad_y), lengths)
    with np.errstate(all="ignore"):
        for l in reversed(range(spec.num_layers)):
            dx_sum: Array | float = 0.0
            layer = []
            for d, direction in enumerate(weights.layers[l]):
                k = l * spec.num_directions + d
                x, grad = trace.inputs[k], dy[:, :, d * r : (d + 1) * r]
                if d == 1:
                    x, grad = reverse_valid(x, lengths), reverse_valid(grad, lengths)
                w = direction.astype(arithmetic.dtype)
                dx, dh0[k], dc0[k], dw = _backward_direction(
                    w, x, trace.steps[k], lengths, grad, grad_state.h[k], grad_state.c[k], arithmetic
                )
                dx_sum = dx_sum + (dx if d == 0 else reverse_valid(dx, lengths))
                layer.append(dw.astype(storage))
            layers.insert(0, tuple(layer))
            dy = arithmetic.rounded(np.asarray(dx_sum))
        return LSTMGradients(np.asarray(dy).astype(storage), dh0, dc0, LSTMWeights(tuple(layers)))
