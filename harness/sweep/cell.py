"""One cell of a sweep: a problem and the way it is measured, as plain values that travel between processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from lstm_parity.backends.problem import LSTMSpec, Precision


@dataclass(frozen=True)
class Cell:
    """Everything of a result row from `precision` to `launch`.

    lengths: "full" (every row has T steps) or "ragged" (lengths drawn uniformly from 1..T). weights: "spread" (drawn), or
    the model file they come from. cache: "cold" (inputs not in a cache) or "warm". launch: "call", or "graph" for the replay
    of a CUDA graph.
    """

    precision: Precision = "float32"
    mode: Literal["inference", "training"] = "inference"
    input_size: int = 256
    hidden_size: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    bias: bool = True
    peephole: bool = False
    lengths: Literal["full", "ragged"] = "full"
    sequence_length: int = 50
    batch_size: int = 16
    weights: str = "spread"
    cache: Literal["cold", "warm"] = "cold"
    launch: Literal["call", "graph"] = "call"

    @property
    def spec(self) -> LSTMSpec:
        """The LSTM of this cell."""
        return LSTMSpec(
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bidirectional,
            self.proj_size,
            self.bias,
            self.peephole,
            self.precision,
        )

    @property
    def training(self) -> bool:
        """Whether a call is a forward and a backward."""
        return self.mode == "training"

    @property
    def ragged(self) -> bool:
        """Whether rows have different lengths."""
        return self.lengths == "ragged"

    def to_dict(self) -> dict[str, Any]:
        """Column name -> value, in the order of a result row."""
        return asdict(self)

    def __str__(self) -> str:
        size = f"T={self.sequence_length} B={self.batch_size} I={self.input_size} H={self.hidden_size}"
        extras = [
            f"L={self.num_layers}" * (self.num_layers > 1),
            "bidirectional" * self.bidirectional,
            f"P={self.proj_size}" * (self.proj_size > 0),
            "no bias" * (not self.bias),
            "peepholes" * self.peephole,
            "ragged" * self.ragged,
            "warm" * (self.cache == "warm"),
            "graph" * (self.launch == "graph"),
        ]
        return " ".join([self.precision, self.mode, size, *filter(None, extras)])
