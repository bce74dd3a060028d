"""What the subject handles: one direction's weights as it keeps them, and what a step and a forward leave for backward."""

from __future__ import annotations

from dataclasses import dataclass

from lstm_parity.backends.problem import Array


@dataclass(slots=True)
class Packed:
    """Weights of one direction of one layer, in the dtype of the arithmetic, for row-wise products.

    w_ih [n, 4H], w_hh [R, 4H], bias [4H] (the sum of both; None without), w_hr [H, P], peephole [3, H] in order i, f, o.
    """

    layer: int
    direction: int
    w_ih: Array
    w_hh: Array
    bias: Array | None
    w_hr: Array | None
    peephole: Array | None


@dataclass(slots=True)
class Step:
    """One step. gates [B, 4H] after activation; c_before, c, tanh_c, m (h before projection) [B, H]; h_before, h [B, R]."""

    gates: Array
    h_before: Array
    c_before: Array
    c: Array
    tanh_c: Array
    m: Array
    h: Array


@dataclass(slots=True)
class Run:
    """One direction of one layer in a training forward: what it read [T, B, n] and its steps, in its own order."""

    x: Array
    steps: list[Step]
    mask: Array | None


@dataclass(slots=True)
class Trace:
    """A training forward: its runs by layer and direction, and the lengths."""

    runs: list[list[Run]]
    lengths: Array | None
