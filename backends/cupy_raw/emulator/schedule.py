"""Which thread of a launch goes on next."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("in-order", "reversed", "random", "block-ahead", "warp-behind")
"""in-order, reversed: a block goes as far as it can, then the next. random: any thread that can, at every switch.
block-ahead: one block, chosen by the seed, runs whenever it can. warp-behind: one warp runs only when nothing else can."""


@dataclass(frozen=True)
class Schedule:
    """The same kind and seed give the same run. seed: 0 to 2^64 - 1."""

    kind: str = "in-order"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must be from 0 to 2^64 - 1, not {self.seed}")
