"""The result of a comparison as text for a terminal, as Markdown for a pull request and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..text import count_of, duration, escape_markdown, markdown_table, relative_change, text_table
from .decide import CONFIDENCE, Change, Decided, Side

HEADINGS = ("verdict", "cell", "backend", "change", "99% interval", "old", "new")


@dataclass(frozen=True)
class About:
    """What was compared."""

    title: str
    notes: tuple[str, ...]
    """Lines for a person: which commits, where and how."""
    facts: Mapping[str, Any]
    """The same and more for the JSON."""


def as_text(decided: Sequence[Decided], threshold: float, about: About) -> str:
    """Title and notes, one line per pair with the bad ones last, and the summary."""
    ordered = sorted(decided, key=lambda d: (d.bad, d.verdict != "SAME"))
    headings, *rows = text_table([HEADINGS, *map(_columns, ordered)])
    lines = [about.title, *(f"    {note}" for note in _notes(about, threshold)), headings]
    for d, row in zip(ordered, rows, strict=True):
        lines += [row, f"    {_why(d)}"] if _why(d) else [row]
    return "\n".join([*lines, summary(decided)])


def as_markdown(decided: Sequence[Decided], threshold: float, about: About) -> str:
    """A heading, the summary, a table with the bad pairs first, and the notes."""
    ordered = sorted(decided, key=lambda d: (not d.bad, d.verdict == "SAME"))
    rows = []
    for d in ordered:
        verdict, *rest = map(escape_markdown, (*_columns(d), _why(d)))
        rows.append([f"**{verdict}**" if d.bad else verdict, *rest])
    lines = [f"### {escape_markdown(about.title)}", "", escape_markdown(summary(decided)), ""]
    lines += markdown_table([*HEADINGS, "reason"], rows)
    lines += ["", *(f"- {escape_markdown(note)}" for note in _notes(about, threshold))]
    return "\n".join(lines) + "\n"


def _notes(about: About, threshold: float) -> tuple[str, ...]:
    return (*about.notes, f"the smallest change that matters is {100 * threshold:.3g}%")


def as_json(decided: Sequence[Decided], threshold: float, about: About) -> str:
    """All facts, and each pair with the ratio of each round."""
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


def summary(decided: Sequence[Decided]) -> str:
    """How many pairs have each verdict, and how many are broken."""
    counts = Counter(d.verdict for d in decided)
    verdicts = ", ".join(f"{counts[v]} {v}" for v in ("SLOWER", "FASTER", "SAME", "UNCLEAR") if counts[v])
    broken = sum(d.pair.broken for d in decided)
    return f"{count_of(len(decided), 'pair')}: {verdicts}" + (f"; {broken} right before and not now" if broken else "")


def _columns(d: Decided) -> tuple[str, ...]:
    change = d.pair.change
    ratio = "" if change is None else relative_change(change.ratio)
    interval = "" if change is None else f"{relative_change(change.low)} to {relative_change(change.high)}"
    return (d.verdict, str(d.pair.cell), d.pair.backend, ratio, interval, _time(d.pair.old), _time(d.pair.new))


def _time(side: Side) -> str:
    return side.status if side.median_s is None else duration(side.median_s)


def _why(d: Decided) -> str:
    if d.pair.broken:
        return f"right before, now {d.pair.new.status}: {d.pair.new.reason or 'no reason given'}"
    return d.reason or ""
