"""What became of each fault, and the score over all of them, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..text import escape_markdown, markdown_table


@dataclass(frozen=True)
class FaultResult:
    """What became of one fault, or of one right implementation."""

    name: str
    family: str
    what: str
    """What is wrong, in one sentence."""
    after: str
    """The real defect that it is named after, "project number", or ""."""
    killed_by: tuple[str, ...]
    """The checks that failed, in order."""
    tried: tuple[str, ...]
    """The checks that ran."""
    reason: str
    """Of the first failure."""


@dataclass(frozen=True)
class Score:
    """The results of all faults."""

    wrong: tuple[FaultResult, ...]
    right: tuple[FaultResult, ...] = ()
    """Implementations in which nothing is wrong."""

    @property
    def survivors(self) -> list[FaultResult]:
        """Wrong ones that no check found."""
        return [r for r in self.wrong if not r.killed_by]

    @property
    def killed(self) -> int:
        """How many wrong ones were found."""
        return len(self.wrong) - len(self.survivors)

    @property
    def false_alarms(self) -> list[FaultResult]:
        """Right ones that a check flagged."""
        return [r for r in self.right if r.killed_by]

    def kills(self, check: str) -> list[FaultResult]:
        """The wrong ones that the check found."""
        return [r for r in self.wrong if check in r.killed_by]

    def alone(self, check: str) -> list[FaultResult]:
        """The wrong ones that this check alone found."""
        return [r for r in self.wrong if r.killed_by == (check,)]


def as_json(score: Score) -> str:
    """For programs; the kill matrix is each result's killed_by."""
    found = {
        "schema": 1,
        "total": len(score.wrong),
        "killed": score.killed,
        "survivors": [r.name for r in score.survivors],
        "false_alarms": [r.name for r in score.false_alarms],
        "wrong": [vars(r) for r in score.wrong],
        "right": [vars(r) for r in score.right],
    }
    return json.dumps(found, indent=2) + "\n"


def as_markdown(score: Score, checks: Sequence[str]) -> str:
    """The score, what each check kills, and the kill matrix: a row for each mutant. checks: names, in order."""
    lines = [
        "# Mutants",
        "",
        f"{score.killed} of {len(score.wrong)} wrong ones killed; "
        f"{len(score.false_alarms)} of {len(score.right)} right ones flagged.",
    ]
    for title, results in (("Survivor", score.survivors), ("False alarm", score.false_alarms)):
        lines += [f"- **{title}**: `{r.name}`: {escape_markdown(f'{r.what}; {r.reason}')}" for r in results]
    rows = []
    for check in checks:
        tried = sum(check in r.tried for r in score.wrong)
        alone = ", ".join(f"`{r.name}`" for r in score.alone(check)) or ("" if score.kills(check) else "none at all")
        rows.append((check, str(len(score.kills(check))), str(tried), alone))
    lines += ["", "## Checks", "", *markdown_table(("check", "kills", "of", "alone"), rows)]
    rows = []
    for r in score.wrong:
        after = f" (after {r.after})" if r.after else ""
        rows.append((r.family, f"`{r.name}`{after}", escape_markdown(r.what), ", ".join(r.killed_by) or "**survives**"))
    lines += ["", "## Kill matrix", "", *markdown_table(("family", "mutant", "what is wrong", "killed by"), rows)]
    right = [(f"`{r.name}`", escape_markdown(r.what), ", ".join(r.killed_by) or "none") for r in score.right]
    lines += ["", "## Right ones", "", *markdown_table(("name", "what is different", "flagged by"), right)]
    return "\n".join(lines) + "\n"
