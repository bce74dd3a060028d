"""What a sweep prints: one line for each finished cell, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..records import BAD, Cell, Row
from ..store import Store
from ..text import duration
from .row_status import UNSTABLE

if TYPE_CHECKING:
    import pandas as pd

MAX_REASON = 160
"""Characters of a reason that a line shows; the store and the report have all of it."""


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended."""

    run_id: str
    store: Path
    statuses: Mapping[str, int]
    """How many rows have each status."""
    summary: Mapping[str, float]
    """Seconds by phase, see PhaseTimer.summary."""
    interrupted: bool = False
    nothing_to_do: bool = False
    """Whether the run was finished before."""

    @property
    def ok(self) -> bool:
        """Whether no row is bad."""
        return not any(self.statuses.get(status) for status in BAD)

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of the run, as `Store.rows` has them."""
        with Store(self.store) as store:
            return store.rows_of(self.run_id)

    def __str__(self) -> str:
        """Counts of statuses, the run, the share of the time inside samples, and what the rest was spent on."""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items())) or "no rows"
        if self.nothing_to_do:
            return f"nothing left to measure: run {self.run_id} is finished ({counts})"
        wall = max(self.summary["wall_s"], 1e-9)
        rest = ", ".join(
            f"{name.removesuffix('_s')} {seconds / wall:.0%}"
            for name, seconds in self.summary.items()
            if name not in ("wall_s", "in_samples_s")
        )
        lines = [
            f"{counts}; run {self.run_id} in {self.store}",
            f"{wall:.1f} s, {self.summary['in_samples_s'] / wall:.0%} of it inside samples; the rest: {rest}",
        ]
        if self.interrupted:
            lines.append("interrupted: every finished cell is stored; the same command with --resume continues")
        return "\n".join(lines)


def cell_line(cell: Cell, rows: Sequence[Row]) -> str:
    """A finished cell: each backend's time, or why it has none."""
    return f"{cell}: {', '.join(map(_row_text, rows))}"


def _row_text(row: Row) -> str:
    parts, reason = [row.backend], row.reason
    if row.median_s is not None:
        parts.append(duration(row.median_s))
        if row.status == "UNSTABLE" and row.ci_low_s is not None and row.ci_high_s is not None:
            half_width = (row.ci_high_s - row.ci_low_s) / 2 / row.median_s
            if half_width > UNSTABLE:
                parts.append(f"±{half_width:.0%}")
                reason = None
    if row.status != "PASSED":
        parts.append(row.status)
    if reason and row.status not in ("PASSED", "UNAVAILABLE", "UNSUPPORTED"):
        parts.append(f"({reason[:MAX_REASON]})")
    return " ".join(parts)
