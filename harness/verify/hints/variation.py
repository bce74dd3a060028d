"""The equations of the LSTM in float64, with something done otherwise: what a wrong backend may have computed.

The defaults of `Variation` are the right equations. `vary` runs them; it may be fed with a backend's own y in place of its h,
so that what differs is one step's doing, and errors do not spread from unit to unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.numpy_reference import reverse_valid
from lstm_parity.backends.problem import Array

from ...problems.problem import Problem

Tensors = dict[str, Array]


def _same(value: Any) -> Any:
    return value


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z))."""
    return np.asarray(1 / (1 + np.exp(-z)))


def _cell(i: Array, f: Array, g: Array, c: Array) -> Array:
    return np.asarray(f * c + i * g)


def _output(w: DirectionWeights, o: Array, c: Array) -> Array:
    m = np.asarray(o * np.tanh(c))
    return m if w.w_hr is None else np.asarray(m @ w.w_hr.T)


def _next_input(x: Array, below: Array) -> Array:
    return below


def _returned(problem: Problem, tensors: Tensors) -> Tensors:
    return tensors


@dataclass(frozen=True)
class Variation:
    """What is done otherwise; every field but `words` is right as it stands.

    words: as in "matches if <words>". problem: the problem that is solved in place of the given one, None
    where the variation makes no sense there. turned: x as the reverse direction reads it; turned_back: its y as it is returned.
    next_input(x, y of the layer below): what an upper layer reads. sigmoid: of i and f; output_gate: of o; candidate: of g.
    cell(i, f, g, c'). output(weights, o, c): h, projected. peep(c', c): what the peephole of o sees. operand: of products.
    kept: c as it is kept; handed: h as the next step reads it. masks: what of y, h and c is masked past a row's length.
    returned: what becomes of y, h_n and c_n at the end.
    """

    words: str
    problem: Callable[[Problem], Problem | None] = _same
    turned: Callable[[Array, Array | None], Array] = reverse_valid
    turned_back: Callable[[Array, Array | None], Array] = reverse_valid
    next_input: Callable[[Array, Array], Array] = _next_input
    sigmoid: Callable[[Array], Array] = sigmoid
    output_gate: Callable[[Array], Array] = sigmoid
    candidate: Callable[[Array], Array] = np.tanh
    cell: Callable[[Array, Array, Array, Array], Array] = _cell
    output: Callable[[DirectionWeights, Array, Array], Array] = _output
    peep: Callable[[Array, Array], Array] = lambda before, now: now
    operand: Callable[[Array], Array] = _same
    kept: Callable[[Array], Array] = _same
    handed: Callable[[Array], Array] = _same
    masks: str = "yhc"
    returned: Callable[[Problem, Tensors], Tensors] = _returned


RIGHT = Variation("nothing is done otherwise")


def vary(problem: Problem, variation: Variation, own: Array | None = None) -> Tensors | None:
    """y [T, B, D*R], h_n [L*D, B, R], c_n [L*D, B, H] in float64; None where the variation makes no sense for the problem.

    own: the backend's y [T, B, D*R], for one layer: each step then starts from the h that is there instead of its own.
    """
    with np.errstate(all="ignore"):
        changed = variation.problem(problem)
        if changed is None:
            return None
        spec, inputs, lengths = changed.spec, changed.inputs, changed.inputs.lengths
        r = spec.state_size
        first = x = np.asarray(inputs.x, np.float64)
        if lengths is not None:
            past = np.arange(len(x))[:, None] >= lengths
            first = x = np.where(past[..., None], 0.0, x)
        h_n, c_n = (np.array(a, np.float64) for a in (inputs.state.h, inputs.state.c))
        for l, layer in enumerate(changed.weights.layers):
            outputs = []
            read = x if l == 0 else variation.next_input(first, x)
            for d, w in enumerate(layer):
                k = l * spec.num_directions + d
                part = None if own is None or spec.num_layers > 1 else np.asarray(own, np.float64)[:, :, d * r : (d + 1) * r]
                if d and part is not None:
                    part = reverse_valid(part, lengths)
                wide = w.astype(np.float64)
                turned = variation.turned(read, lengths) if d else read
                y, h_n[k], c_n[k] = _direction(wide, turned, h_n[k], c_n[k], lengths, variation, part)
                outputs.append(variation.turned_back(y, lengths) if d else y)
            x = np.concatenate(outputs, axis=2)
        return variation.returned(problem, {"y": x, "h_n": h_n, "c_n": c_n})


def _direction(
    w: DirectionWeights, x: Array, h: Array, c: Array, lengths: Array | None, v: Variation, own: Array | None
) -> tuple[Array, Array, Array]:
    """x [T, B, n], h [B, R], c [B, H]; y [T, B, R], h_n, c_n."""
    y = np.empty((len(x), *h.shape))
    bias = 0.0 if w.b_ih is None or w.b_hh is None else w.b_ih + w.b_hh
    w_ih, w_hh = v.operand(w.w_ih).T, v.operand(w.w_hh).T
    for t in range(len(x)):
        z_i, z_f, z_g, z_o = np.split(v.operand(x[t]) @ w_ih + v.operand(h) @ w_hh + bias, 4, axis=1)
        if w.peephole is not None:
            z_i, z_f = z_i + w.peephole[0] * c, z_f + w.peephole[1] * c
        new_c = v.kept(v.cell(v.sigmoid(z_i), v.sigmoid(z_f), v.candidate(z_g), c))
        if w.peephole is not None:
            z_o = z_o + w.peephole[2] * v.peep(c, new_c)
        y[t] = v.output(w, v.output_gate(z_o), new_c)
        new_h = v.handed(y[t] if own is None else own[t])
        if lengths is not None:
            valid = (lengths > t)[:, None]
            y[t] = np.where(valid, y[t], 0.0) if "y" in v.masks else y[t]
            new_h = np.where(valid, new_h, h) if "h" in v.masks else new_h
            new_c = np.where(valid, new_c, c) if "c" in v.masks else new_c
        h, c = new_h, new_c
    return y, h, c
