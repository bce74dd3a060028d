"""What a check is: a claim about a backend, the problems it needs, and a body that looks whether the claim holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lstm_parity.backends import Capabilities

from ..problems.requirements import ProblemRequirements
from .ability import OPERANDS
from .trial import Trial

IN_WORDS = {"lengths": "sequences of different lengths"}
"""Promises as Capabilities.why_unsupported says them."""


@dataclass(frozen=True)
class Check:
    """One line of the list."""

    name: str
    claim: str
    """What must hold, in one sentence."""
    body: Callable[[Trial], None]
    """Runs one example; raises DisagreementError."""
    requirements: ProblemRequirements = field(default_factory=ProblemRequirements)
    sensitive_to: tuple[str, ...] = OPERANDS
    needs: tuple[str, ...] = ()
    cost: float = 1
    """It runs 1/cost as many examples."""

    def examples(self, requested: int) -> int:
        """How many examples it runs where so many are requested."""
        return max(1, int(requested / self.cost))

    def why_skipped(self, capabilities: Capabilities) -> str | None:
        """The first promise that the check is about and the backend does not make; None if it makes all."""
        missing = next((name for name in self.needs if not getattr(capabilities, name)), None)
        if missing is not None:
            return f"not promised: {IN_WORDS.get(missing, missing)}"
        return self.requirements.unmet(capabilities)
