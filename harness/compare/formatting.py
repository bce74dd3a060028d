"""What a comparison says: as text for a terminal, as Markdown for a pull request, as JSON for programs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..text import duration
from .decide import CONFIDENCE, Change, Decided, Side, in_per_cent

HEADINGS = ("verdict", "cell", "backend", "change", "99% interval", "old", "new")


@dataclass(frozen=True)
class About:
    """What was compared. title: in a line; notes: lines for a person, where and how; facts: the same and more for programs."""

    title: str
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


def as_text(decided: Sequence[Decided], threshold: float, about: About) -> str:
    """Title and notes, a line a pair, those that matter last, and the counts below."""
    ordered = sorted(decided, key=lambda d: (d.bad, d.verdict != "SAME"))
    table = [HEADINGS, *(_columns(d) for d in ordered)]
    widths = [max(len(row[k]) for row in table) for k in range(len(HEADINGS))]
    lines = [about.title, *(f"    {note}" for note in _notes(about, threshold))]
    for number, row in enumerate(table):
        lines.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        if number and (why := _why(ordered[number - 1])):
            lines.append(f"    {why}")
    return "\n".join([*lines, in_short(decided)])


def as_markdown(decided: Sequence[Decided], threshold: float, about: About) -> str:
    """A heading, the counts, a table, those that matter first, and the notes."""
    ordered = sorted(decided, key=lambda d: (not d.bad, d.verdict == "SAME"))
    lines = [f"### {_escaped(about.title)}", "", _escaped(in_short(decided)), ""]
    lines += [f"| {' | '.join((*HEADINGS, 'why'))} |", f"|{' --- |' * (len(HEADINGS) + 1)}"]
    for d in ordered:
        verdict, *rest = (_escaped(text) for text in (*_columns(d), _why(d)))
        lines.append(f"| {' | '.join((f'**{verdict}**' if d.bad else verdict, *rest))} |")
    lines += ["", *(f"- {_escaped(note)}" for note in _notes(about, threshold))]
    return "\n".join(lines) + "\n"


def _notes(about: About, threshold: float) -> tuple[str, ...]:
    return (*about.notes, f"the least change that matters is {100 * threshold:.3g}%")


def as_json(decided: Sequence[Decided], threshold: float, about: About) -> str:
    """Everything, the ratio of each round included."""
    pairs = []
    for d in decided:
        change = dict.fromkeys(f.name for f in fields(Change)) if d.pair.change is None else asdict(d.pair.change)
        pairs.append(
            {
                "verdict": d.verdict,
                "broken": d.pair.broken,
                "reason": d.reason,
                "backend": d.pair.backend,
                "cell": d.pair.cell.columns(),
                **change,
                "p_adjusted": d.p_adjusted,
                "rounds": list(d.pair.rounds),
                "old": asdict(d.pair.old),
                "new": asdict(d.pair.new),
            }
        )
    counts = Counter(d.verdict for d in decided)
    whole = {"schema": 1, **about.facts, "threshold": threshold, "confidence": CONFIDENCE, "counts": counts, "pairs": pairs}
    return json.dumps(whole, indent=2) + "\n"


def in_short(decided: Sequence[Decided]) -> str:
    """How many pairs have each verdict, and how many were right and are not."""
    counts = Counter(d.verdict for d in decided)
    said = ", ".join(f"{counts[v]} {v}" for v in ("SLOWER", "FASTER", "SAME", "UNCLEAR") if counts[v])
    broken = sum(d.pair.broken for d in decided)
    return f"{len(decided)} pair{'s' * (len(decided) != 1)}: {said}" + (
        f"; {broken} right before and not now" if broken else ""
    )


def _columns(d: Decided) -> tuple[str, ...]:
    change = d.pair.change
    ratio = "" if change is None else in_per_cent(change.ratio)
    interval = "" if change is None else f"{in_per_cent(change.low)} to {in_per_cent(change.high)}"
    return (d.verdict, str(d.pair.cell), d.pair.backend, ratio, interval, _time(d.pair.old), _time(d.pair.new))


def _time(side: Side) -> str:
    return side.status if side.median_s is None else duration(side.median_s)


def _why(d: Decided) -> str:
    if d.pair.broken:
        return f"right before, now {d.pair.new.status}: {d.pair.new.reason or 'no reason given'}"
    return d.reason or ""


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, within a cell of a table."""
    return re.sub(r"([\\`*_\[\]{}|#~!$<>&])", r"\\\1", " ".join(text.split()))
