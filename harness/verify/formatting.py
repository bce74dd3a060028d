"""Verdicts as text, as Markdown and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..text import count_of, describe_machine, escape_markdown, markdown_table
from .results import BackendResult, CheckResult, Options, Status

STATUSES = ("FAIL", "UNVERIFIED", "KNOWN", "SKIP", "PASS")
"""The worst first."""
COLUMNS = 110
"""Lines are wrapped here."""


def counts(checks: Sequence[CheckResult]) -> str:
    """How many checks are of each status, the worst first: 2 FAIL, 1 SKIP, 40 PASS."""
    found = Counter[str](c.status for c in checks)
    return ", ".join(f"{found[s]} {s}" for s in STATUSES if found[s])


def format_bits(result: BackendResult) -> str:
    """The effective bits of each audited precision."""
    return ", ".join(f"{precision} {bits:.1f}" for precision, bits in result.effective_bits.items())


def verdict_line(result: BackendResult) -> str:
    """The verdict on one backend in one line."""
    if result.reason:
        return f"{result.backend}: {result.verdict}: {result.reason}"
    bits = f"; effective bits: {format_bits(result)}" if result.effective_bits else ""
    examples = count_of(sum(c.examples for c in result.checks), "example")
    return f"{result.backend}: {result.verdict} ({counts(result.checks)}; {examples}{bits})"


def check_as_text(check: CheckResult, claim: str) -> str:
    """A check that is not PASS: its claim, the reason, the hints, the file."""
    lines = [f"  {check.status:<10} {check.check}: {claim}"]
    details = [check.reason, *(f"hint: {hint}" for hint in check.hints)]
    if check.counterexample:
        details.append(f"run it: python {check.counterexample}")
    for detail in details:
        lines += textwrap.wrap(detail, COLUMNS, initial_indent=" " * 13, subsequent_indent=" " * 15, break_long_words=False)
    return "\n".join(lines)


def skips_as_text(checks: Sequence[CheckResult]) -> list[str]:
    """Skipped checks, one line a reason."""
    lines = []
    for reason, names in _names_by_reason(checks, "SKIP").items():
        text = f"{'SKIP':<10} {reason}: {names}"
        lines += textwrap.wrap(text, COLUMNS, initial_indent="  ", subsequent_indent=" " * 13, break_on_hyphens=False)
    return lines


def _names_by_reason(checks: Sequence[CheckResult], status: Status) -> dict[str, str]:
    """The checks of that status, by reason."""
    names: dict[str, list[str]] = {}
    for check in checks:
        if check.status == status:
            names.setdefault(check.reason, []).append(check.check)
    return {reason: ", ".join(found) for reason, found in names.items()}


def rounded_bits(result: BackendResult) -> dict[str, float]:
    """The effective bits of each audited precision, for JSON."""
    return {precision: round(bits, 2) for precision, bits in result.effective_bits.items()}


def checks_as_data(result: BackendResult) -> list[dict[str, Any]]:
    """The result of each check, for JSON."""
    names = ("check", "status", "reason", "hints", "examples", "counterexample")
    return [{name: getattr(check, name) for name in names} for check in result.checks]


def as_json(results: Sequence[BackendResult], machine: dict[str, Any], options: Options) -> str:
    """All verdicts, for programs."""
    backends = [
        {name: getattr(r, name) for name in ("backend", "verdict", "reason")}
        | {"effective_bits": rounded_bits(r), "checks": checks_as_data(r)}
        for r in results
    ]
    chosen = {name: getattr(options, name) for name in ("seed", "examples", "threads")}
    return json.dumps({"schema": 1, "machine": machine, **chosen, "backends": backends}, indent=2) + "\n"


def as_markdown(results: Sequence[BackendResult], machine: dict[str, Any], command: str) -> str:
    """A page that a release or a pull request can link to; UNVERIFIED results come first."""
    lines = ["# Do the backends agree with the equations?", ""]
    for r in results:
        not_run = r.reason and r.verdict == "UNVERIFIED"
        unverified = {r.reason: "nothing was run"} if not_run else _names_by_reason(r.checks, "UNVERIFIED")
        lines += [f"- **UNVERIFIED**: `{r.backend}`, {names}: {escape_markdown(why)}" for why, names in unverified.items()]
    if lines[-1]:
        lines.append("")
    rows = [
        (f"`{r.backend}`", f"**{r.verdict}**", counts(r.checks), f"{sum(c.examples for c in r.checks):,}", format_bits(r))
        for r in results
    ]
    lines += markdown_table(("backend", "verdict", "checks", "examples", "effective bits"), rows)
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    lines += ["", f"On {describe_machine(machine)}; Python {machine['python']}; {libraries}.", ""]
    lines += [f"To repeat it: `{command}`.", ""]
    tried = [r for r in results if not r.reason]
    if tried:
        by_check = zip(*(r.checks for r in tried), strict=True)
        cells = [[f"{c.status} ({c.examples})" if c.examples else c.status for c in checks] for checks in by_check]
        names = [check.check for check in tried[0].checks]
        table = [(name, *row) for name, row in zip(names, cells, strict=True)]
        lines += [*markdown_table(("check", *(f"`{r.backend}`" for r in tried)), table), ""]
    for r in tried:
        for c in r.checks:
            if c.status in ("FAIL", "KNOWN"):
                details = "; ".join([c.reason, *(f"hint: {h}" for h in c.hints)])
                lines.append(f"- **{c.status}** `{r.backend}` {c.check}: {escape_markdown(details)}")
    return "\n".join(lines).rstrip() + "\n"
