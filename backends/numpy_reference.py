"""The ground truth: the equations of the LSTM, forward and backward through time, in NumPy.

Gers, Schmidhuber, Cummins 2000 (forget gate); Gers, Schmidhuber 2000 (peepholes); Sak, Senior, Beaufays 2014 (projection).
Beside each quantity stands its name in the lecture's notation:

    i = sigmoid(W_i x + U_i h' + b_i [+ p_i * c'])      Γu, update gate
    f = sigmoid(W_f x + U_f h' + b_f [+ p_f * c'])      Γf, forget gate
    g = tanh   (W_g x + U_g h' + b_g)                   c~<t>, candidate
    c = f * c' + i * g                                  c<t>
    o = sigmoid(W_o x + U_o h' + b_o [+ p_o * c ])      Γo, output gate; its peephole sees the new c
    h = o * tanh(c)        [then h = W_hr h]            a<t>

h', c' are the state of the step before. Inside, as in the equations, every vector is a column and a batch is a matrix of B
columns: x [I, B], h [R, B], c [H, B], z [4H, B]. Arguments and results are row-wise: x [T, B, I], y [T, B, D*R].

Everything is float64, whatever the dtype of the inputs. The backend `numpy` is the same equations in its own dtype: `dtype` is
that of the arithmetic, `storage` that of y, of the states, and of h between two steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .problem import Array, DirectionWeights, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights

COLUMNS_PER_PRODUCT = 512
"""W x does not depend on the steps before, so it is computed for about this many columns (steps x rows) at a time."""


@dataclass
class Step:
    """What one step saves for backpropagation; every array is [H, B] but gates [4H, B] and h_before [R, B]."""

    gates: Array
    c_before: Array
    c: Array
    tanh_c: Array
    h_before: Array
    unprojected: Array
    """o * tanh(c)."""


@dataclass
class Trace:
    """What a training forward saves for backpropagation."""

    inputs: list[Array] = field(default_factory=list)
    """What each layer and direction read, [T, B, *], in the order of the state index."""
    steps: list[list[Step]] = field(default_factory=list)
    lengths: Array | None = None


def sigmoid(z: Array, out: Array | None = None) -> Array:
    """1 / (1 + exp(-z)); exactly 0 or 1 where it saturates."""
    out = np.negative(z, out=out)
    np.exp(out, out=out)
    out += 1
    return np.reciprocal(out, out=out)


def valid_rows(lengths: Array | None, t: int) -> Array | None:
    """Which rows [B] have a step t; None where all have."""
    return None if lengths is None or bool(np.all(lengths > t)) else lengths > t


def reverse_valid(x: Array, lengths: Array | None) -> Array:
    """x [T, B, n] with each row's valid steps in reverse order; steps past the length stay where they are."""
    if lengths is None:
        return x[::-1]
    t = np.arange(len(x))[:, None]
    source = np.where(t < lengths, lengths - 1 - t, t)
    return np.take_along_axis(x, source[:, :, None], axis=0)


def without_padding(x: Array, lengths: Array | None) -> Array:
    """x [T, B, n] with zeros past each row's length, so that the values there are never read."""
    if lengths is None:
        return x
    return np.where((np.arange(len(x))[:, None] < lengths)[:, :, None], x, np.zeros((), x.dtype))


def _input_products(w: DirectionWeights, x: Array, dtype: Any) -> Iterator[Array]:
    """W x<t> + b_ih + b_hh [4H, B] for each step t of x [T, B, I]; each is valid until the next is requested."""
    steps, batch, width = x.shape
    block = max(1, COLUMNS_PER_PRODUCT // batch)
    z = np.empty((len(w.w_ih), min(block, steps) * batch), dtype)
    for start in range(0, steps, block):
        columns = x[start : start + block].astype(dtype, copy=False).reshape(-1, width).T
        if z.shape[1] != columns.shape[1]:
            z = np.empty((len(w.w_ih), columns.shape[1]), dtype)
        np.matmul(w.w_ih, columns, out=z)
        if w.b_ih is not None and w.b_hh is not None:
            z += (w.b_ih + w.b_hh)[:, None]
        for t in range(0, z.shape[1], batch):
            yield z[:, t : t + batch]


def _forward_direction(
    w: DirectionWeights, x: Array, h0: Array, c0: Array, lengths: Array | None, storage: Any, steps: list[Step] | None
) -> tuple[Array, Array, Array]:
    """One direction of one layer. x [T, B, I], h0 [B, R], c0 [B, H]; returns y [T, B, R], h_n [B, R], c_n [B, H].

    Computes in the dtype of w. Appends to `steps`, where it is given, what backpropagation needs.
    """
    dtype, hidden = w.w_hh.dtype, len(w.w_hh) // 4
    y = np.empty((len(x), *h0.shape), storage)
    h, c = h0.astype(dtype).T, c0.astype(dtype).T  # a<0>, c<0>
    z = np.empty((4 * hidden, h.shape[1]), dtype)
    for t, input_product in enumerate(_input_products(w, x, dtype)):
        h_before, c_before = h, c
        if steps is not None:
            z = np.empty_like(z)  # each step's gates are kept
        i, f, g, o = (z[k * hidden : (k + 1) * hidden] for k in range(4))

        np.matmul(w.w_hh, h_before, out=z)
        z += input_product
        if w.peephole is not None:
            i += w.peephole[0][:, None] * c_before
            f += w.peephole[1][:, None] * c_before
        sigmoid(i, out=i)  # Γu
        sigmoid(f, out=f)  # Γf
        np.tanh(g, out=g)  # c~
        c = f * c_before + i * g
        if w.peephole is not None:
            o += w.peephole[2][:, None] * c
        sigmoid(o, out=o)  # Γo
        tanh_c = np.tanh(c)
        h = unprojected = o * tanh_c
        if w.w_hr is not None:
            unprojected = _stored(unprojected, storage)
            h = w.w_hr @ unprojected
        h = _stored(h, storage)

        if steps is not None:
            steps.append(Step(z, c_before, c, tanh_c, h_before, unprojected))
        y[t] = h.T
        valid = valid_rows(lengths, t)
        if valid is not None:  # past a row's length y is 0 and the state is unchanged
            y[t][~valid] = 0
            h = np.where(valid, h, h_before)
            c = np.where(valid, c, c_before)
    return y, h.T.astype(storage), c.T.astype(storage)


def _stored(array: Array, storage: Any) -> Array:
    """The array rounded to the storage dtype, in its own dtype."""
    return array.astype(storage, copy=False).astype(array.dtype, copy=False)


def forward(
    spec: LSTMSpec,
    weights: LSTMWeights,
    x: Array,
    state: LSTMState,
    lengths: Array | None = None,
    trace: Trace | None = None,
    dtype: Any = np.float64,
    storage: Any = np.float64,
) -> tuple[Array, LSTMState]:
    """Run an LSTM: the float64 ground truth for inputs of any dtype.

    x [T, B, I], state.h [L*D, B, R], state.c [L*D, B, H], lengths int64 [B] or None. Returns y [T, B, D*R] and the final
    state, in `storage`. Fills `trace`, where one is given, for `backward`.
    """
    h_n = np.empty(state.h.shape, storage)
    c_n = np.empty(state.c.shape, storage)
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
                w = direction.astype(dtype)
                y, h_n[k], c_n[k] = _forward_direction(w, read, state.h[k], state.c[k], lengths, storage, steps)
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
) -> tuple[Array, Array, Array, DirectionWeights]:
    """Backpropagation through time for one direction of one layer, from what its forward saved in `steps`.

    x [T, B, I] and grad_y [T, B, R] in the order in which the direction read them; grad_h [B, R], grad_c [B, H]. Returns the
    gradients of x, h0 and c0, shaped like them, and of the weights. Computes in the dtype of w.
    """
    dtype, hidden = w.w_hh.dtype, len(w.w_hh) // 4
    dh, dc = grad_h.astype(dtype).T, grad_c.astype(dtype).T
    dz_steps = [np.empty(0)] * len(steps)
    dh_steps = [np.empty(0)] * len(steps)
    for t in reversed(range(len(steps))):
        s = steps[t]
        i, f, g, o = (s.gates[k * hidden : (k + 1) * hidden] for k in range(4))
        dh_after, dc_after = dh, dc
        dh = dh_after + grad_y[t].astype(dtype, copy=False).T
        dm = dh if w.w_hr is None else w.w_hr.T @ dh  # of o * tanh(c)

        dz = np.empty_like(s.gates)
        dz_i, dz_f, dz_g, dz_o = (dz[k * hidden : (k + 1) * hidden] for k in range(4))
        dz_o[...] = dm * s.tanh_c * o * (1 - o)
        dc = dc_after + dm * o * (1 - s.tanh_c * s.tanh_c)
        if w.peephole is not None:
            dc += w.peephole[2][:, None] * dz_o
        dz_i[...] = dc * g * i * (1 - i)
        dz_f[...] = dc * s.c_before * f * (1 - f)
        dz_g[...] = dc * i * (1 - g * g)
        dc = dc * f
        if w.peephole is not None:
            dc += w.peephole[0][:, None] * dz_i + w.peephole[1][:, None] * dz_f

        valid = valid_rows(lengths, t)
        if valid is not None:  # this step did not change such a row: its gradients pass through
            dz[:, ~valid] = 0
            dh = np.where(valid, dh, 0)
            dc = np.where(valid, dc, dc_after)
        dz_steps[t], dh_steps[t] = dz, dh
        dh = w.w_hh.T @ dz
        if valid is not None:
            dh = np.where(valid, dh, dh_after)

    def all_steps(name: str) -> Array:
        """[n, T*B]."""
        return np.concatenate([getattr(s, name) for s in steps], axis=1)

    dz = np.concatenate(dz_steps, axis=1)  # [4H, T*B]
    columns = x.astype(dtype, copy=False).reshape(-1, x.shape[2])
    ones = np.ones((dz.shape[1], 1), dtype)
    dx = (w.w_ih.T @ dz).T.reshape(x.shape)
    db = (dz @ ones)[:, 0]
    d_hr = d_peephole = None
    if w.w_hr is not None:
        d_hr = np.concatenate(dh_steps, axis=1) @ all_steps("unprojected").T
    if w.peephole is not None:
        c_before, c = all_steps("c_before"), all_steps("c")
        seen = ((dz[:hidden], c_before), (dz[hidden : 2 * hidden], c_before), (dz[3 * hidden :], c))
        d_peephole = np.stack([((gate * cell) @ ones)[:, 0] for gate, cell in seen])
    gradients = DirectionWeights(
        w_ih=dz @ columns,
        w_hh=dz @ all_steps("h_before").T,
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
    dtype: Any = np.float64,
    storage: Any = np.float64,
) -> LSTMGradients:
    """Gradients of sum(y * grad_y) + sum(h_n * grad_state.h) + sum(c_n * grad_state.c), in `storage`.

    grad_y [T, B, D*R], grad_state shaped like the state; `trace` is what the training forward filled.
    """
    r, lengths = spec.state_size, trace.lengths
    dh0 = np.empty(grad_state.h.shape, storage)
    dc0 = np.empty(grad_state.c.shape, storage)
    layers: list[tuple[DirectionWeights, ...]] = []
    dy = without_padding(grad_y.astype(dtype, copy=False), lengths)
    with np.errstate(all="ignore"):
        for l in reversed(range(spec.num_layers)):
            dx_sum: Array | float = 0.0
            layer = []
            for d, direction in enumerate(weights.layers[l]):
                k = l * spec.num_directions + d
                x, grad = trace.inputs[k], dy[:, :, d * r : (d + 1) * r]
                if d == 1:
                    x, grad = reverse_valid(x, lengths), reverse_valid(grad, lengths)
                w = direction.astype(dtype)
                dx, dh0[k], dc0[k], dw = _backward_direction(
                    w, x, trace.steps[k], lengths, grad, grad_state.h[k], grad_state.c[k]
                )
                dx_sum = dx_sum + (dx if d == 0 else reverse_valid(dx, lengths))
                layer.append(dw.astype(storage))
            layers.insert(0, tuple(layer))
            dy = np.asarray(dx_sum)
        return LSTMGradients(dy.astype(storage), dh0, dc0, LSTMWeights(tuple(layers)))
