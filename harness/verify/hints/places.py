"""Where a wrong result is wrong: in which tensors, rows, units and steps; and which gate alone would explain it."""

from __future__ import annotations

import numpy as np

from lstm_parity.backends.numpy_reference import reverse_valid
from lstm_parity.backends.problem import Array

from ...faults.lstm import CorrectLSTM
from ...oracle.location import Spot, error_ratio
from .call import FORWARD, Call
from .with_fault import results_of

FEW = 3
"""Up to this many indices are listed one by one."""


def places(call: Call) -> str | None:
    """Which part of the results is wrong, where it can be named; None where all of it is, or none."""
    spec, right = call.problem.spec, results_of(CorrectLSTM, call.problem, y=call.got["y"])
    if right is None:
        return None
    ratios = {}
    for name in FORWARD:
        allowed = np.asarray(np.max(call.tolerances[name].allowed))
        ratios[name] = error_ratio(call.got[name], right[name], allowed) > 1
    off = [name for name in FORWARD if ratios[name].any()]
    if not off:
        return None
    parts = []
    if "y" not in off:
        parts.append(" and ".join(off))
    seen = off[0] if spec.num_layers == 1 else "y"
    bad = ratios[seen] if seen in off else ratios[off[0]]
    directions = bad.reshape(*bad.shape[:2], spec.num_directions, -1) if seen == "y" else None
    if directions is not None and spec.bidirectional:
        wrong = directions.any(axis=(0, 1, 3))
        if not wrong.all():
            parts.append(f"the {('forward', 'reverse')[int(wrong.argmax())]} direction")
    parts.append(_rows(call, np.asarray(bad.any(axis=(0, 2)))))
    if spec.num_layers == 1:
        units = bad.any(axis=(0, 1)) if directions is None else directions.any(axis=(0, 1, 2))
        parts.append(_part(np.asarray(units), "unit"))
    if seen == "y":
        parts.append(_part(np.asarray(bad.any(axis=(1, 2))), "step"))
    named = [p for p in parts if p]
    return f"in the problem {call.problem.describe()}, only this is wrong: {', '.join(named)}" if named else None


def _rows(call: Call, bad: Array) -> str:
    lengths, steps = call.problem.lengths, call.problem.steps
    if call.problem.inputs.lengths is not None and not bad.all():
        for text, rows in (("rows of length 0", lengths == 0), ("rows shorter than T", lengths < steps)):
            if rows.any() and (bad == rows).all():
                return text
    return _part(bad, "row")


def _part(bad: Array, noun: str) -> str:
    """The indices where it is bad; "" where they are all, none, or too many to list."""
    where, n = np.flatnonzero(bad), len(bad)
    if len(where) in (0, n):
        return ""
    first, last = int(where[0]), int(where[-1])
    if len(where) == 1:
        return f"{noun} {first} of 0..{n - 1}"
    if last - first + 1 == len(where):
        return f"{noun}s {first} and above (of 0..{n - 1})" if last == n - 1 else f"{noun}s {first} to {last} (of 0..{n - 1})"
    if len(where) <= FEW:
        return f"{noun}s {', '.join(map(str, where))} (of 0..{n - 1})"
    step = np.unique(np.diff(where))
    return f"every {int(step[0])}th {noun} from {first} on" if len(step) == 1 else ""


def gate_hint(call: Call, spot: Spot) -> str | None:
    """Which single gate's value would explain the element, the smallest change first; of one plain layer."""
    spec, inputs = call.problem.spec, call.problem.inputs
    if spec.num_layers > 1 or spec.proj_size or spec.peephole or spot.tensor not in ("y", "c_n") or not np.isfinite(spot.got):
        return None
    h, row = spec.hidden_size, spot.index[1]
    direction, unit = (spot.index[0], spot.index[2]) if spot.tensor == "c_n" else divmod(spot.index[2], h)
    last = int(call.problem.lengths[row]) - 1
    if last < 0:
        return None
    step = last if spot.tensor == "c_n" else (last - spot.index[0] if direction else spot.index[0])
    if not 0 <= step <= last:
        return None
    w = call.problem.weights.layers[0][direction].astype(np.float64)
    x, y = inputs.x[:, [row]], call.got["y"][:, [row], direction * h : (direction + 1) * h]
    if direction:
        lengths = None if inputs.lengths is None else inputs.lengths[[row]]
        x, y = reverse_valid(x, lengths), reverse_valid(y, lengths)
    hidden, c = (np.asarray(a[direction, row], np.float64) for a in (inputs.state.h, inputs.state.c))
    i = f = g = o = before = c
    with np.errstate(all="ignore"):
        for t in range(step + 1):
            z = w.w_ih @ x[t, 0].astype(np.float64) + w.w_hh @ hidden
            z = z if w.b_ih is None or w.b_hh is None else z + w.b_ih + w.b_hh
            i, f, g, o = np.split(z, 4)
            i, f, o, g, before = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g), c
            c, hidden = f * before + i * g, y[t, 0]
        at_i, at_f, at_g, at_o, at_before, at_c = (float(a[unit]) for a in (i, f, g, o, before, c))
        wanted = spot.got if spot.tensor == "c_n" else float(np.arctanh(spot.got / at_o))
        values = {
            "f": (at_f, np.divide(wanted - at_i * at_g, at_before), 0.0),
            "i": (at_i, np.divide(wanted - at_f * at_before, at_g), 0.0),
            "g": (at_g, np.divide(wanted - at_f * at_before, at_i), -1.0),
        }
        if spot.tensor == "y":
            values["o"] = (at_o, np.divide(spot.got, np.tanh(at_c)), 0.0)
    found = [(abs(v - now), gate, now, float(v)) for gate, (now, v, low) in values.items() if np.isfinite(v) and low <= v <= 1]
    if not found:
        return None
    explained = [f"gate {gate} alone: got {v + 0.0:.6g}, expected {now:.6g}" for _, gate, now, v in sorted(found)[:2]]
    return f"{spot.where}: explained by {'; or by '.join(explained)}"
