"""A fault: one small change to the kernels that the emulator must find, and the problem that shows it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMSpec
from lstm_parity.backends.cupy_raw.plan.plan import Path as PlanPath
from lstm_parity.backends.cupy_raw.source import KERNELS

from ...problems.problem import Problem
from ...problems.regimes import draw_problem


def small_problem(
    *, steps: int = 4, batch: int = 5, hidden: int = 13, ragged: bool = False, precision: Any = "float32", **features: Any
) -> Problem:
    """A training step that is spread over several blocks of the emulator. ragged: lengths 0, 1, T, T - 1, 0, ... in turn."""
    spec = LSTMSpec(3, hidden, precision=precision, **features)
    lengths = np.resize(np.array([0, 1, steps, steps - 1]), batch) if ragged else None
    return draw_problem(spec, steps, batch, 0, lengths=lengths, training=True)


@dataclass(frozen=True)
class Fault:
    """Replace the `which`-th place (from 0) of `old` in `file` by `new`.

    path: the plan whose kernels are changed. kinds: of findings, one of which must be reported. features: of the problem that
    shows it, as small_problem takes them.
    """

    name: str
    file: str
    old: str
    new: str
    path: PlanPath
    kinds: tuple[str, ...]
    which: int = 0
    features: Mapping[str, Any] = field(default_factory=dict)

    def plant(self, folder: Path) -> Path:
        """A copy of the kernels in `folder`, with the fault in it. Raises ValueError where the file has no such place."""
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
