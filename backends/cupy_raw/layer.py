"""One layer on a machine: its weights, a call of it, and what its training forward saves for the backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..problem import DirectionWeights, LSTMState
from .machine import Machine


@dataclass(frozen=True, eq=False)
class Layer:
    """The weights of a layer on a machine, the directions stacked. In the storage dtype, but for `bias`."""

    w_ih: Any
    """[D, 4H, I or D*R]"""
    w_hh: Any
    """[D, 4H, R]"""
    bias: Any | None
    """[D, 4H]: b_ih + b_hh, in the dtype of the arithmetic"""
    w_hr: Any | None
    """[D, P, H]"""
    peephole: Any | None
    """[D, 3, H]"""

    @classmethod
    def upload(cls, machine: Machine, directions: tuple[DirectionWeights, ...]) -> Layer:
        """The weights of a layer's directions."""

        def stacked(name: str) -> Any:
            arrays = [getattr(d, name) for d in directions]
            return None if arrays[0] is None else machine.upload(np.stack(arrays))

        real = np.float64 if machine.precision == "float64" else np.float32
        sums = [np.add(d.b_ih, d.b_hh, dtype=real) for d in directions if d.b_ih is not None and d.b_hh is not None]
        bias = machine.upload(np.stack(sums), real=True) if sums else None
        return cls(stacked("w_ih"), stacked("w_hh"), bias, stacked("w_hr"), stacked("peephole"))


@dataclass(frozen=True, eq=False)
class Call:
    """The sizes of one call, the same for all its layers."""

    steps: int
    batch: int
    lengths: Any
    """int32 [B] on the machine"""
    training: bool


@dataclass(frozen=True, eq=False)
class SavedForBackward:
    """The arrays of a layer's training forward that its backward reads. An inference leaves some of them None."""

    x: Any
    """[T, B, I or D*R], 0 in the padding"""
    initial: LSTMState
    """h [D, B, R], c [D, B, H]"""
    y: Any
    """[T, B, D, R]"""
    gates: Any
    """[D, T, B, 4H], activated"""
    c_steps: Any
    """[D, T, B, H]: c of every step"""
    unprojected: Any | None
    """[T, D, B, H]: o tanh(c) of each step, with projection; in the order of the steps, also for the reverse direction"""
