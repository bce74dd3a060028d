"""What every worker can be asked and can answer, whatever it is used for: plain values over a pipe.

Each message names the type of its answer. A worker that cannot do what it is asked answers with a Failure; one that is gone
answers nothing, which the parent sees as a closed pipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lstm_parity.backends import Capabilities


@dataclass(frozen=True)
class Description:
    """What the backend is: its promises, and why it cannot run here (None if it can)."""

    capabilities: Capabilities
    unavailable: str | None


@dataclass(frozen=True)
class Describe:
    """Load the backend class."""

    answer: ClassVar[type] = Description


@dataclass(frozen=True)
class Failure:
    """What went wrong in a worker."""

    kind: Literal["unsupported", "unavailable", "out_of_memory", "not_found", "wrong", "crashed"]
    reason: str


Answer = Any
"""What a message is answered with: the value that the message names, or a Failure."""
