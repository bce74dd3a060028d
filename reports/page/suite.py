"""The property suite's verdict on each backend and its own mutation score: sentences and a table."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lstm_parity.harness.text import MISSING

from ..tables import Table

MAX_REASONS = 3


def newest_verdicts(verdicts: pd.DataFrame, machine_id: str) -> dict[str, dict[str, Any]]:
    """The newest verdict of each backend on that machine."""
    mine = verdicts[verdicts["machine_id"] == machine_id]
    found: list[Any] = mine.drop_duplicates("backend", keep="last").to_dict("records")
    return {str(v["backend"]): v for v in found}


@dataclass(frozen=True)
class Commands:
    """The commands that put verdicts and scores into the store."""

    store: str
    """The store's file."""
    true_names: Mapping[str, str] = field(default_factory=dict)
    """Display name of a backend -> its name."""

    def verify(self, backends: list[str]) -> str:
        """For the verdicts on these backends."""
        names = [self.true_names.get(b, b) for b in backends]
        return shlex.join(["lstm-parity", "verify", *names, "--store", self.store])

    def mutants(self) -> str:
        """For the score."""
        return shlex.join(["lstm-parity", "mutants", "--store", self.store])


def suite_sentences(
    backends: list[str], found: dict[str, dict[str, Any]], scores: pd.DataFrame, commands: Commands, commit: str
) -> list[str]:
    """PASS and UNVERIFIED by name, and the score. commit: of the run."""
    passed, undecided = (with_verdict(v, backends, found) for v in ("PASS", "UNVERIFIED"))
    lines = [f"The property suite says UNVERIFIED for {b}: {_why(found[b])}." for b in undecided]
    if passed:
        named = ", ".join(f"{b} ({found[b]['examples']:,} problems a check{_elsewhere(found[b], commit)})" for b in passed)
        lines.insert(0, f"The property suite says PASS for {named}.")
    missing = [b for b in backends if b not in found]
    if missing:
        lines.append(
            f"No verdict of the property suite on this machine for {', '.join(missing)} (UNVERIFIED). "
            f"To get one, run `{commands.verify(missing)}`"
        )
    lines.append(score_sentence(scores, commands))
    return lines


def with_verdict(verdict: str, backends: list[str], found: dict[str, dict[str, Any]]) -> list[str]:
    """The backends with that verdict."""
    return [b for b in backends if b in found and found[b]["verdict"] == verdict]


def failures(backends: list[str], found: dict[str, dict[str, Any]]) -> list[str]:
    """One line for each backend with the verdict FAIL."""
    named = with_verdict("FAIL", backends, found)
    return [f"The property suite says FAIL for {b}: {_why(found[b])}. Do not trust its times." for b in named]


def score_sentence(scores: pd.DataFrame, commands: Commands) -> str:
    """How many planted faults the suite finds."""
    if scores.empty:
        return f"How many planted faults the suite finds is UNVERIFIED here. To find out, run `{commands.mutants()}`"
    score = scores.iloc[-1]
    survivors, alarms = _list(score["survivors"]), _list(score["false_alarms"])
    said = f"The suite finds {score['killed']:,} of {score['total']:,} planted faults"
    said += f" (missed: {', '.join(map(str, survivors[:5]))}{' and more' if len(survivors) > 5 else ''})" if survivors else ""
    said += f", with {len(alarms)} false alarm{'s' * (len(alarms) != 1)}"
    return f"{said}; measured {str(score['finished_at'])[:10]}."


def suite_table(backends: list[str], found: dict[str, dict[str, Any]], commands: Commands, commit: str) -> Table:
    """One line a backend."""
    lines = []
    for backend in backends:
        if backend not in found:
            how = f"no verdict in this store; run {commands.verify([backend])}"
            lines.append([backend, "UNVERIFIED", MISSING, how, MISSING, MISSING])
            continue
        verdict = found[backend]
        counts = Counter(str(c.get("status")) for c in _checks(verdict))
        said = ", ".join(f"{n} {status}" for status, n in counts.most_common())
        bits = _object(verdict["effective_bits"])
        when = str(verdict["finished_at"])[:10] + _elsewhere(verdict, commit)
        shown = ", ".join(f"{p} {v:.1f}" for p, v in bits.items() if isinstance(v, (int, float)))
        lines.append([backend, str(verdict["verdict"]), said, _why(verdict), shown or MISSING, when])
    columns = ["backend", "verdict", "checks", "details", "effective bits", "date"]
    note = "The newest verdict of lstm-parity verify on this machine for each backend."
    return Table("Verdicts of the property suite", note, pd.DataFrame(lines, columns=columns))


def _elsewhere(verdict: dict[str, Any], commit: str) -> str:
    """Whether the verdict is of another commit than the run, where that is known."""
    other = verdict["git_commit"] and commit and verdict["git_commit"] != commit
    return f", other commit {str(verdict['git_commit'])[:7]}" if other else ""


def _why(verdict: dict[str, Any]) -> str:
    wanted = {"FAIL": ("FAIL",), "UNVERIFIED": ("UNVERIFIED",)}.get(str(verdict["verdict"]), ())
    reasons = [f"{c.get('check')}: {c.get('reason')}" for c in _checks(verdict) if c.get("status") in wanted]
    more = f" and {len(reasons) - MAX_REASONS} more" if len(reasons) > MAX_REASONS else ""
    return ("; ".join(r.rstrip(".") for r in reasons[:MAX_REASONS]) + more) or MISSING


def _checks(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for c in _list(verdict["checks"]) if isinstance(c, dict)]


def _list(text: Any) -> list[Any]:
    found = _parsed(text)
    return found if isinstance(found, list) else []


def _object(text: Any) -> dict[str, Any]:
    found = _parsed(text)
    return found if isinstance(found, dict) else {}


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except json.JSONDecodeError:
        return None
