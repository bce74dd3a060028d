"""A planted kernel fault: one edit of a kernel that the emulator must find, and the problem that shows it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMSpec
from lstm_parity.backends.cupy_raw.plan.plan import Path as PlanPath
from lstm_parity.backends.cupy_raw.source import KERNELS

from ...problems.problem import Problem
from ...problems.regimes import draw_problem
from ..score import FaultResult


def small_problem(
    *, steps: int = 4, batch: int = 5, hidden: int = 13, ragged: bool = False, precision: Any = "float32", **features: Any
) -> Problem:
    """A training step that is spread over several blocks of the emulator. ragged: lengths 0, 1, T, T - 1, 0, ... in turn."""
    spec = LSTMSpec(3, hidden, precision=precision, **features)
    lengths = np.resize(np.array([0, 1, steps, steps - 1]), batch) if ragged else None
    return draw_problem(spec, steps, batch, 0, lengths=lengths, training=True)


@dataclass(frozen=True)
class KernelFault:
    """One edit of a kernel's source: the `which`-th place (from 0) of `old` in `file` is replaced by `new`."""

    name: str
    file: str
    old: str
    new: str
    path: PlanPath
    """The plan whose kernels are changed."""
    kinds: tuple[str, ...]
    """Kinds of finding, one of which the emulator must report."""
    which: int = 0
    features: Mapping[str, Any] = field(default_factory=dict)
    """Of the problem that shows it, as small_problem takes them."""

    def result(self, found: Sequence[str], tried: str) -> FaultResult:
        """Its record in a score. found: what `tried` said about it."""
        what = f"{self.old!r} is replaced by {self.new!r}"
        return FaultResult(self.name, self.file, what, "", tuple(found), (tried,), ", ".join(found))

    def plant(self, folder: Path) -> Path:
        """Copy the kernels into `folder` with the fault; returns the copy. Raises ValueError where there is no such place."""
        copy = folder / self.name
        shutil.copytree(KERNELS, copy)
        path = copy / self.file
        parts = path.read_text(encoding="utf-8").split(self.old)
        if len(parts) <= self.which + 1:
            raise ValueError(f"{self.name}: {self.file} has no place {self.which} of {self.old!r}")
        before, after = self.old.join(parts[: self.which + 1]), self.old.join(parts[self.which + 1 :])
        path.write_text(before + self.new + after, encoding="utf-8")
        return copy

    def problem(self) -> Problem:
        """A problem that shows it."""
        return small_problem(**self.features)
