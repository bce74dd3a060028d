"""All mutants, wrong and right, in an order that does not change."""

from __future__ import annotations

from . import right as _right
from . import (
    wrong_activation,
    wrong_direction,
    wrong_gates,
    wrong_gradients,
    wrong_layers,
    wrong_layout,
    wrong_leaks,
    wrong_lengths,
    wrong_memory,
    wrong_peephole,
    wrong_precision,
    wrong_projection,
    wrong_races,
    wrong_rare,
    wrong_state,
    wrong_time,
    wrong_weight_gradients,
)
from .mutant import RIGHT, WRONG, Mutant

FAMILIES = (
    wrong_gates,
    wrong_state,
    wrong_time,
    wrong_layout,
    wrong_lengths,
    wrong_direction,
    wrong_layers,
    wrong_projection,
    wrong_peephole,
    wrong_activation,
    wrong_precision,
    wrong_races,
    wrong_memory,
    wrong_leaks,
    wrong_gradients,
    wrong_weight_gradients,
    wrong_rare,
    _right,
)
"""The modules whose import enters the mutants; a family each, but for the gradients and the memory, which fill two."""


def wrong() -> tuple[Mutant, ...]:
    """The wrong ones, by family and name: each is to be found out."""
    return tuple(sorted(WRONG, key=lambda m: (m.family, m.name)))


def right() -> tuple[Mutant, ...]:
    """The right ones, by name: none is to be flagged."""
    return tuple(sorted(RIGHT, key=lambda m: m.name))
