"""What is left of a layer once W x is there: the problem that a launch plan is made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...problem import LSTMSpec

Direction = Literal["forward", "backward"]
"""Of the pass: through time, or back through it."""


@dataclass(frozen=True)
class Recurrence:
    """The recurrence of one layer: what is left of it once W x is there. See problem.py for the axis letters."""

    hidden: int
    state: int
    directions: int
    projected: bool
    peepholes: bool
    precision: str
    steps: int
    batch: int

    @classmethod
    def of(cls, spec: LSTMSpec, steps: int, batch: int) -> Recurrence:
        """Of each layer of a spec: they are all alike."""
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
        """Size of an element as arrays hold it."""
        return {"float64": 8, "float32": 4, "tf32": 4}.get(self.precision, 2)

    @property
    def real_bytes(self) -> int:
        """Size of an element as it is computed in."""
        return 8 if self.precision == "float64" else 4
