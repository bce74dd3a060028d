"""The recurrence of a layer, without W x: the problem that a launch plan is made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...problem import LSTMSpec

Direction = Literal["forward", "backward"]
"""Of the pass: forward, or backpropagation through time."""


@dataclass(frozen=True)
class Recurrence:
    """The recurrence of one layer. W x is computed before it."""

    hidden: int
    """H"""
    state: int
    """R: P with projection, else H"""
    directions: int
    """D"""
    projected: bool
    peepholes: bool
    precision: str
    steps: int
    """T"""
    batch: int
    """B"""

    @classmethod
    def of(cls, spec: LSTMSpec, steps: int, batch: int) -> Recurrence:
        """Of any layer of a spec: it is the same for all."""
        return cls(
            hidden=spec.hidden_size,
            state=spec.state_size,
            directions=spec.num_directions,
            projected=spec.proj_size > 0,
            peepholes=spec.peephole,
            precision=spec.precision,
            steps=steps,
            batch=batch,
        )

    @property
    def storage_bytes(self) -> int:
        """Of an element in the storage dtype."""
        return {"float64": 8, "float32": 4, "tf32": 4}.get(self.precision, 2)

    @property
    def real_bytes(self) -> int:
        """Of an element in the dtype of the arithmetic."""
        return 8 if self.precision == "float64" else 4
