"""What a check requires of its problems, and whether a backend promises it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lstm_parity.backends import Capabilities, LSTMSpec
from lstm_parity.backends.problem import STORAGE

from .regimes import REGIMES

USUAL_MAX_STEPS = 65
"""Default of the largest T: the time to measure a tolerance grows with it."""


@dataclass(frozen=True)
class ProblemRequirements:
    """What a check requires of its problems. None: either, as far as the backend promises it."""

    precision: str | None = None
    several_layers: bool | None = None
    """True: two layers or more; False: exactly one."""
    bidirectional: bool | None = None
    projection: bool | None = None
    peephole: bool | None = None
    bias: bool | None = None
    lengths: bool | None = None
    """Whether the rows have different lengths."""
    training: bool | None = None
    half_training: bool = False
    """Half of the problems are training steps where gradients are promised, so that a missing backward fails at once."""
    min_steps: int = 1
    min_batch: int = 1
    min_hidden: int = 1
    max_steps: int = USUAL_MAX_STEPS
    regimes: tuple[str, ...] = ("spread", *REGIMES)
    """Names of regimes.REGIMES, or "spread"; weights of a file count as "spread"."""
    small: bool = False
    """All sizes are at most strategies.SMALL, and none is at a tile boundary."""

    def unmet(self, capabilities: Capabilities) -> str | None:
        """The first requirement that the backend does not promise, as text; None if it promises all."""
        precisions = capabilities.precisions
        precision: Any = self.precision or next((p for p in STORAGE if p in precisions), "float32")
        hidden = max(self.min_hidden, 1 + bool(self.projection))
        spec = LSTMSpec(
            1,
            hidden,
            num_layers=1 + bool(self.several_layers),
            bidirectional=bool(self.bidirectional),
            proj_size=int(bool(self.projection)),
            peephole=bool(self.peephole),
            bias=self.bias is not False,
            precision=precision,
        )
        return capabilities.why_unsupported(spec, lengths=bool(self.lengths), gradients=bool(self.training))

    def fits(self, spec: LSTMSpec) -> bool:
        """Whether a file's spec meets the requirements, apart from its precision."""
        features = (
            (self.several_layers, spec.num_layers > 1),
            (self.bidirectional, spec.bidirectional),
            (self.projection, spec.proj_size > 0),
            (self.peephole, spec.peephole),
            (self.bias, spec.bias),
        )
        return all(required in (None, has) for required, has in features) and spec.hidden_size >= self.min_hidden
