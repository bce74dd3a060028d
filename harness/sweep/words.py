"""The last lines of a sweep: how it went and where the time went."""

from __future__ import annotations

from pathlib import Path

from .run import Outcome


def how_it_went(outcome: Outcome, store: Path) -> str:
    """Counts of statuses, the run, the share of the wall time inside samples and what the rest was for."""
    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items())) or "no rows"
    if outcome.nothing_to_do:
        return f"nothing left to measure: run {outcome.run_id} is finished ({counts})"
    s = outcome.summary
    wall = max(s["wall_s"], 1e-9)
    rest = ", ".join(
        f"{name.removesuffix('_s')} {seconds / wall:.0%}"
        for name, seconds in s.items()
        if name not in ("wall_s", "in_samples_s")
    )
    lines = [
        f"{counts}; run {outcome.run_id} in {store}",
        f"{wall:.1f} s, {s['in_samples_s'] / wall:.0%} of it inside samples; the rest: {rest}",
    ]
    if outcome.interrupted:
        lines.append("interrupted: every finished cell is kept; the same command with --resume goes on")
    return "\n".join(lines)
