"""What a check is: a claim about a backend, the problems it needs, and a body that looks whether the claim holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lstm_parity.backends import Capabilities

from ..problems.strategies import Wish
from .ability import OPERANDS
from .trial import Trial

IN_WORDS = {"lengths": "sequences of different lengths"}
"""Promises as Capabilities.why_unsupported says them."""


@dataclass(frozen=True)
class Check:
    """One line of the list.

    claim: what must hold, in one sentence. body: runs one example; raises DisagreementError. wish: the problems it needs.
    must_matter: operands that an example must be able to show an error in (see ability.py). needs: promises beside those of the
    wish, as names of Capabilities' flags. fewer: it runs one example for so many of the others, since they are dear, or alike.
    more: so many for one of the others, since they are cheap and tell most.
    """

    name: str
    claim: str
    body: Callable[[Trial], None]
    wish: Wish = field(default_factory=Wish)
    must_matter: tuple[str, ...] = OPERANDS
    needs: tuple[str, ...] = ()
    fewer: int = 1
    more: int = 1

    def examples(self, asked: int) -> int:
        """How many it runs where so many are asked for."""
        return max(1, asked * self.more // self.fewer)

    def why_skipped(self, capabilities: Capabilities) -> str | None:
        """The first promise that the check is about and the backend does not make; None if it makes all."""
        missing = next((name for name in self.needs if not getattr(capabilities, name)), None)
        if missing is not None:
            return f"not promised: {IN_WORDS.get(missing, missing)}"
        return self.wish.unmet(capabilities)
