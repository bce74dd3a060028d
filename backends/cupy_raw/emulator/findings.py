"""The findings of the emulator in a launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """The other access of a race, or the copy that is in flight."""

    file: str
    line: int
    block: tuple[int, int, int]
    """blockIdx"""
    thread: int
    """threadIdx.x"""
    step: int | None
    """Of the thread's last at_step(); None before the first one"""
    is_write: bool

    def __str__(self) -> str:
        return f"{'write' if self.is_write else 'read'} at {_place(self.file, self.line, self.block, self.thread, self.step)}"


@dataclass(frozen=True)
class Finding:
    """One fault of a kernel: where it was found first, and how often it was found at the same lines."""

    kind: str
    """One of "out of bounds", "null array", "never written", "race", "in flight", "barrier", "deadlock", "endless loop",
    "warp", "grid barrier", "cluster", "asynchronous copy", "shared memory", "stack".
    """
    message: str
    kernel: str
    file: str
    line: int
    block: tuple[int, int, int]
    """blockIdx"""
    thread: int
    """threadIdx.x"""
    step: int | None
    """Of the thread's last at_step(); None before the first one"""
    other: Access | None
    """The earlier access, for a race and for a copy in flight"""
    count: int

    def __str__(self) -> str:
        place = _place(self.file, self.line, self.block, self.thread, self.step)
        other = f"; the other: {self.other}" if self.other else ""
        often = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.kernel}: {self.kind} at {place}: {self.message}{other}{often}"


class EmulationError(Exception):
    """A launch had findings; the arrays that it wrote may be wrong."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))

    def __reduce__(self) -> tuple[type[EmulationError], tuple[tuple[Finding, ...]]]:
        return type(self), (self.findings,)


def _place(file: str, line: int, block: tuple[int, int, int], thread: int, step: int | None) -> str:
    at_step = f", step {step}" if step is not None else ""
    return f"{file}:{line}, block {block}, thread {thread}{at_step}"
