"""All faults, a family in each module (the gradients in two), the likelier first: the order in which hints try them."""

from __future__ import annotations

from typing import Any

from ..fault import Fault, Mutant, class_name, mutants_of
from . import (
    activation,
    direction,
    gates,
    gradients,
    layers,
    layout,
    lengths,
    memory,
    peephole,
    precision,
    projection,
    races,
    rare,
    state,
    time,
    weight_gradients,
)

FAMILIES = (
    gates,
    layout,
    state,
    time,
    lengths,
    direction,
    layers,
    peephole,
    projection,
    activation,
    precision,
    races,
    memory,
    rare,
    gradients,
    weight_gradients,
)
FAULTS: tuple[Fault, ...] = tuple(found for family in FAMILIES for found in family.FAULTS)
MUTANTS: tuple[Mutant, ...] = tuple(mutant for found in FAULTS for mutant in mutants_of(found))

_CLASSES: dict[str, Any] = {class_name(mutant.name): mutant.backend for mutant in MUTANTS}
for _backend in _CLASSES.values():
    _backend.__module__ = __name__


def __getattr__(name: str) -> Any:
    """Every mutant by the name of its class, so that `lstm-parity verify <this module>:<class>` tries it."""
    if name in _CLASSES:
        return _CLASSES[name]
    raise AttributeError(f"module {__name__} has no attribute {name}")
