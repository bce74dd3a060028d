"""The specification of an LSTM: its sizes, its features, and the precision that it is computed in.

Axis letters, here and in every docstring of the project:

    T  time steps            B  batch                 I  input size
    H  hidden size           P  projection size       R  width of the recurrent state: P, or H without projection
    L  layers                D  directions (1 or 2)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Precision = Literal["float64", "float32", "tf32", "float16", "bfloat16"]

STORAGE: Mapping[str, np.dtype[Any]] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "tf32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
"""Storage and interface dtype of each precision."""


@dataclass(frozen=True)
class LSTMSpec:
    """Which LSTM is computed, and in which precision; hashable.

    Raises ValueError, naming the field, for a size below 1, a proj_size outside 0..hidden_size-1, or an unknown precision;
    TypeError for a size that is not an integer or a flag that is not a bool.
    """

    input_size: int
    """I."""
    hidden_size: int
    """H."""
    num_layers: int = 1
    """L."""
    bidirectional: bool = False
    proj_size: int = 0
    """P; 0 means no projection."""
    bias: bool = True
    peephole: bool = False
    precision: Precision = "float32"
    """"float32" is IEEE float32 throughout; "tf32" has float32 storage, and operands of matrix products may be rounded to 10
    bits; "float16" and "bfloat16" are the storage and interface dtype, and matrix products accumulate in float32.
    """

    def __post_init__(self) -> None:
        for name, least in (("input_size", 1), ("hidden_size", 1), ("num_layers", 1), ("proj_size", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
            object.__setattr__(self, name, int(value))
        for name in ("bidirectional", "bias", "peephole"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, not {value!r}")
            object.__setattr__(self, name, bool(value))
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"proj_size must be below hidden_size ({self.hidden_size}), not {self.proj_size}; 0 means none")
        if self.precision not in STORAGE:
            raise ValueError(f"precision must be one of {', '.join(STORAGE)}, not {self.precision!r}")

    @property
    def num_directions(self) -> int:
        """D: 2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def state_size(self) -> int:
        """R: width of h, proj_size or, without projection, hidden_size."""
        return self.proj_size or self.hidden_size

    @property
    def output_size(self) -> int:
        """D*R: width of y."""
        return self.num_directions * self.state_size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Storage and interface dtype."""
        return STORAGE[self.precision]

    def layer_input_size(self, layer: int) -> int:
        """Width of what a layer reads: I for layer 0, D*R above."""
        return self.input_size if layer == 0 else self.output_size

    def weight_shapes(self, layer: int) -> dict[str, tuple[int, ...] | None]:
        """The shape of each field of a layer's DirectionWeights; None where the field must be None."""
        four_h, r = 4 * self.hidden_size, self.state_size
        return {
            "w_ih": (four_h, self.layer_input_size(layer)),
            "w_hh": (four_h, r),
            "b_ih": (four_h,) if self.bias else None,
            "b_hh": (four_h,) if self.bias else None,
            "w_hr": (self.proj_size, self.hidden_size) if self.proj_size else None,
            "peephole": (3, self.hidden_size) if self.peephole else None,
        }
