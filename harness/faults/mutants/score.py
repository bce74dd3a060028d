"""The suite's own score: every check on every mutant, and which check found out which."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from ...machine.host import cpu_count, worker_environment
from ...verify.checks import CHECKS
from ...verify.isolation.local import LocalExecutor
from ...verify.search import search
from .catalogue import right, wrong
from .mutant import Mutant

EXAMPLES = 6
"""Drawn problems a check; a wrong one that survives them gets SECOND_LOOK."""

SECOND_LOOK = 60


@dataclass(frozen=True)
class Outcome:
    """One mutant. killed_by: the checks that failed, in order. tried: those that ran. reason: of the first failure."""

    name: str
    family: str
    what: str
    after: str
    killed_by: tuple[str, ...]
    tried: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Score:
    """Every outcome, the wrong ones' and the right ones', by family and name."""

    wrong: tuple[Outcome, ...]
    right: tuple[Outcome, ...]

    @property
    def survivors(self) -> list[Outcome]:
        """Wrong ones that no check found out."""
        return [o for o in self.wrong if not o.killed_by]

    @property
    def false_alarms(self) -> list[Outcome]:
        """Right ones that a check flagged."""
        return [o for o in self.right if o.killed_by]

    def kills(self, check: str) -> list[Outcome]:
        """The wrong ones that the check found out."""
        return [o for o in self.wrong if check in o.killed_by]

    def alone(self, check: str) -> list[Outcome]:
        """The wrong ones that this check alone found out."""
        return [o for o in self.wrong if o.killed_by == (check,)]


def try_mutant(mutant: Mutant, examples: int, *, first_only: bool = False) -> Outcome:
    """Run all checks on one mutant, in this process. first_only: stop at the first that fails."""
    executor, promises = LocalExecutor(mutant.backend), mutant.backend.capabilities
    killed_by, tried, reason = [], [], ""
    for check in CHECKS:
        if check.why_skipped(promises) is not None:
            continue
        tried.append(check.name)
        seed = zlib.crc32(f"{mutant.name} {check.name}".encode())
        found = search(check, executor, promises, examples=check.examples(examples), seed_value=seed, shrink=False)
        if found.failure is not None:
            killed_by.append(check.name)
            reason = reason or f"{check.name}: {found.failure.reason}"
            if first_only:
                break
    return Outcome(mutant.name, mutant.family, mutant.what, mutant.after, tuple(killed_by), tuple(tried), reason)


def count() -> int:
    """How many there are."""
    return len(wrong()) + len(right())


def measure_score(on_outcome: Callable[[Outcome], None] = lambda _: None) -> Score:
    """All mutants, on all cores."""
    names = [("wrong", m.name) for m in wrong()] + [("right", m.name) for m in right()]
    outcomes: dict[str, Outcome] = {}
    with worker_environment(1), ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_try_by_name, *name) for name in names]):
            outcome = future.result()
            outcomes[outcome.name] = outcome
            on_outcome(outcome)
    return Score(*(tuple(outcomes[name] for k, name in names if k == kind) for kind in ("wrong", "right")))


def _try_by_name(kind: str, name: str) -> Outcome:
    mutant = next(m for m in (wrong() if kind == "wrong" else right()) if m.name == name)
    outcome = try_mutant(mutant, EXAMPLES)
    return outcome if outcome.killed_by or kind == "right" else try_mutant(mutant, SECOND_LOOK)


def as_json(score: Score) -> str:
    """For programs; the kill matrix is each mutant's killed_by."""

    def plain(outcomes: Sequence[Outcome]) -> list[dict[str, object]]:
        return [vars(o) for o in outcomes]

    found = {
        "schema": 1,
        "total": len(score.wrong),
        "killed": len(score.wrong) - len(score.survivors),
        "survivors": [o.name for o in score.survivors],
        "false_alarms": [o.name for o in score.false_alarms],
        "wrong": plain(score.wrong),
        "right": plain(score.right),
    }
    return json.dumps(found, indent=2) + "\n"


def as_markdown(score: Score) -> str:
    """The score, what each check kills, and the kill matrix: a row a mutant."""
    killed = len(score.wrong) - len(score.survivors)
    lines = [
        "# Mutants",
        "",
        f"{killed} of {len(score.wrong)} wrong ones killed; {len(score.false_alarms)} of {len(score.right)}",
    ]
    lines[-1] += " right ones flagged."
    for title, outcomes in (("Survivor", score.survivors), ("False alarm", score.false_alarms)):
        lines += [f"- **{title}**: `{o.name}`: {o.what} {o.reason}" for o in outcomes]
    lines += ["", "## Checks", "", "| check | kills | of | alone |", "|---|---|---|---|"]
    for check in CHECKS:
        tried = sum(check.name in o.tried for o in score.wrong)
        alone = ", ".join(f"`{o.name}`" for o in score.alone(check.name)) or ("" if score.kills(check.name) else "none at all")
        lines.append(f"| {check.name} | {len(score.kills(check.name))} | {tried} | {alone} |")
    lines += ["", "## Kill matrix", "", "| family | mutant | what is wrong | killed by |", "|---|---|---|---|"]
    for o in score.wrong:
        after = f" (after {o.after})" if o.after else ""
        lines.append(f"| {o.family} | `{o.name}`{after} | {o.what} | {', '.join(o.killed_by) or '**survives**'} |")
    lines += ["", "## Right ones", "", "| name | what is different | flagged by |", "|---|---|---|"]
    lines += [f"| `{o.name}` | {o.what} | {', '.join(o.killed_by) or 'none'} |" for o in score.right]
    return "\n".join(line.replace("|c", "\\|c") if "|c0|" in line else line for line in lines) + "\n"
