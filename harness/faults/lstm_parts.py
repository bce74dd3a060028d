"""The records of the LSTM with faults: one direction's weights, and what a step and a forward leave for backward."""

from __future__ import annotations

from dataclasses import dataclass

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

Layers = list[list[DirectionWeights]]
"""Weights by layer and direction."""


@dataclass(slots=True)
class Packed:
    """Weights of one direction of one layer, in the dtype of the arithmetic, for row-wise products."""

    layer: int
    direction: int
    w_ih: Array
    """[n, 4H]"""
    w_hh: Array
    """[R, 4H]"""
    bias: Array | None
    """[4H], the sum of both"""
    w_hr: Array | None
    """[H, P]"""
    peephole: Array | None
    """[3, H], in the order i, f, o"""


@dataclass(slots=True)
class Step:
    """One step."""

    gates: Array
    """[B, 4H], after activation"""
    h_before: Array
    """[B, R]"""
    c_before: Array
    """[B, H]"""
    c: Array
    """[B, H]"""
    tanh_c: Array
    """[B, H]"""
    m: Array
    """h before the projection [B, H]"""
    h: Array
    """[B, R]"""


@dataclass(slots=True)
class Run:
    """One direction of one layer in a training forward."""

    x: Array
    """What it read [T, B, n]."""
    steps: list[Step]
    """In the direction's own order."""
    mask: Array | None
    """Which rows have a step [T, B]."""


@dataclass(slots=True)
class Trace:
    """A training forward."""

    runs: list[list[Run]]
    """By layer and direction."""
    lengths: Array | None
