"""All mutants, wrong and right, in an order that does not change."""

from __future__ import annotations

from .fault import Mutant
from .independent import INDEPENDENT
from .right import RIGHT
from .table import MUTANTS


def wrong() -> tuple[Mutant, ...]:
    """The wrong ones, by family and name: each is to be found."""
    return tuple(sorted((*MUTANTS, *INDEPENDENT), key=lambda m: (m.family, m.name)))


def right() -> tuple[Mutant, ...]:
    """The right ones, by name: none is to be flagged."""
    return tuple(sorted(RIGHT, key=lambda m: m.name))
