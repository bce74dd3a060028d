"""What the emulator finds wrong in a launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """The other access of a race. step: as at_step said, None before."""

    file: str
    line: int
    block: tuple[int, int, int]
    thread: int
    step: int | None
    is_write: bool

    def __str__(self) -> str:
        return f"{'write' if self.is_write else 'read'} at {_place(self.file, self.line, self.block, self.thread, self.step)}"


@dataclass(frozen=True)
class Finding:
    """One thing found wrong, where it was found first, and how often the same was found at the same lines.

    kind: "out of bounds", "null array", "never written", "race", "in flight", "barrier", "deadlock", "endless loop", "warp",
    "grid barrier", "cluster", "asynchronous copy", "shared memory" or "stack". other: the earlier access, for a race and for
    what is in flight.
    """

    kind: str
    message: str
    kernel: str
    file: str
    line: int
    block: tuple[int, int, int]
    thread: int
    step: int | None
    other: Access | None
    count: int

    def __str__(self) -> str:
        place = _place(self.file, self.line, self.block, self.thread, self.step)
        other = f"; the other: {self.other}" if self.other else ""
        often = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.kernel}: {self.kind} at {place}: {self.message}{other}{often}"


class EmulationError(Exception):
    """A launch had findings; what it wrote is not to be trusted."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))

    def __reduce__(self) -> tuple[type[EmulationError], tuple[tuple[Finding, ...]]]:
        return type(self), (self.findings,)


def _place(file: str, line: int, block: tuple[int, int, int], thread: int, step: int | None) -> str:
    at_step = f", step {step}" if step is not None else ""
    return f"{file}:{line}, block {block}, thread {thread}{at_step}"
