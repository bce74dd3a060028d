"""Known ways to be wrong, each in words and as a Variation of the equations. Most are another problem in disguise."""

from __future__ import annotations

from collections.abc import Iterator

from ..variation import Variation
from .of_gradients import RIGHT_BACKWARD as RIGHT_BACKWARD
from .of_gradients import BackwardVariation as BackwardVariation
from .of_gradients import gradient_suspects as gradient_suspects
from .of_gradients import vary_backward as vary_backward
from .of_sequences import lengths, state, time
from .of_structure import directions, features, layers
from .of_values import PRECISION_SUSPECTS as PRECISION_SUSPECTS
from .of_values import activations, results
from .of_weights import gates, weights


def forward_suspects() -> Iterator[Variation]:
    """What a forward may do otherwise, the likelier first."""
    for part in (gates, weights, state, time, lengths, directions, layers, features, activations, results):
        yield from part()
