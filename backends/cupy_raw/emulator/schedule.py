"""The order in which the threads of a launch run."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("in-order", "reversed", "random", "block-ahead", "warp-behind")
"""in-order, reversed: a block runs until all its threads wait, then the next. random: any runnable thread, at every switch.
block-ahead: one block, chosen by the seed, runs whenever it can. warp-behind: one warp runs only when no other can."""


@dataclass(frozen=True)
class Schedule:
    """The same kind and seed give the same run."""

    kind: str = "in-order"
    """One of KINDS"""
    seed: int = 0
    """0 to 2^64 - 1"""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must be from 0 to 2^64 - 1, not {self.seed}")
