"""Verdicts as text, as Markdown and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .results import BackendResult, CheckResult, Options

STATUSES = ("FAIL", "UNVERIFIED", "KNOWN", "SKIP", "PASS")
WIDTH = 110


def counts(checks: Sequence[CheckResult]) -> str:
    """How many checks are of each status, the worst first: 2 FAIL, 1 SKIP, 40 PASS."""
    found = Counter[str](c.status for c in checks)
    return ", ".join(f"{found[s]} {s}" for s in STATUSES if found[s])


def bits_in_words(result: BackendResult) -> str:
    """The effective bits of each audited precision."""
    return ", ".join(f"{precision} {bits:.1f}" for precision, bits in result.effective_bits.items())


def lead(result: BackendResult) -> str:
    """The verdict on one backend in one line."""
    if result.reason:
        return f"{result.backend}: {result.verdict}: {result.reason}"
    bits = f"; effective bits: {bits_in_words(result)}" if result.effective_bits else ""
    examples = sum(c.examples for c in result.checks)
    return f"{result.backend}: {result.verdict} ({counts(result.checks)}; {examples:,} examples{bits})"


def check_as_text(check: CheckResult, claim: str) -> str:
    """A check that is not PASS: its claim, the reason, the hints, the file."""
    lines = [f"  {check.status:<10} {check.check}: {claim}"]
    details = [check.reason, *(f"hint: {hint}" for hint in check.hints)]
    if check.counterexample:
        details.append(f"run it: python {check.counterexample}")
    for detail in details:
        lines += textwrap.wrap(detail, WIDTH, initial_indent=" " * 13, subsequent_indent=" " * 15, break_long_words=False)
    return "\n".join(lines)


def skips_as_text(checks: Sequence[CheckResult]) -> list[str]:
    """Skipped checks, one line a reason."""
    by_reason: dict[str, list[str]] = {}
    for check in checks:
        if check.status == "SKIP":
            by_reason.setdefault(check.reason, []).append(check.check)
    lines = []
    for reason, names in by_reason.items():
        text = f"{'SKIP':<10} {reason}: {', '.join(names)}"
        lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent=" " * 13, break_on_hyphens=False)
    return lines


def rounded_bits(result: BackendResult) -> dict[str, float]:
    """The effective bits of each audited precision, for programs."""
    return {precision: round(bits, 2) for precision, bits in result.effective_bits.items()}


def checks_as_data(result: BackendResult) -> list[dict[str, Any]]:
    """What became of each check, for programs."""
    return [
        {
            "check": c.check,
            "status": c.status,
            "reason": c.reason,
            "hints": list(c.hints),
            "examples": c.examples,
            "counterexample": c.counterexample,
        }
        for c in result.checks
    ]


def as_json(results: Sequence[BackendResult], machine: dict[str, Any], options: Options) -> str:
    """For programs."""
    backends = [
        {
            "backend": r.backend,
            "verdict": r.verdict,
            "reason": r.reason,
            "effective_bits": rounded_bits(r),
            "checks": checks_as_data(r),
        }
        for r in results
    ]
    asked = {"seed": options.seed, "examples": options.examples, "threads": options.threads}
    return json.dumps({"schema": 1, "machine": machine, **asked, "backends": backends}, indent=2) + "\n"


def as_markdown(results: Sequence[BackendResult], machine: dict[str, Any], command: str) -> str:
    """A page that a release or a pull request can link to; what stayed UNVERIFIED comes first."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("<", "&lt;")

    lines = ["# Do the backends agree with the equations?", ""]
    for r in results:
        for reason, names in _unverified(r).items():
            lines.append(f"- **UNVERIFIED**: `{r.backend}`, {names}: {cell(reason)}")
    if lines[-1]:
        lines.append("")
    lines += ["| backend | verdict | checks | examples | effective bits |", "|---|---|---|---|---|"]
    for r in results:
        examples = sum(c.examples for c in r.checks)
        lines.append(f"| `{cell(r.backend)}` | **{r.verdict}** | {counts(r.checks)} | {examples:,} | {bits_in_words(r)} |")
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    gpus = ", ".join(machine["gpu"]) or "no GPU"
    lines += ["", f"On {machine['cpu']}, {machine['cores']} cores, {gpus}; Python {machine['python']}; {libraries}.", ""]
    lines += [f"Again with `{command}`.", ""]
    tried = [r for r in results if not r.reason]
    if tried:
        lines += ["| check | " + " | ".join(f"`{cell(r.backend)}`" for r in tried) + " |", "|---" * (len(tried) + 1) + "|"]
        for rows in zip(*(r.checks for r in tried), strict=True):
            cells = [f"{c.status} ({c.examples})" if c.examples else c.status for c in rows]
            lines.append(f"| {rows[0].check} | " + " | ".join(cells) + " |")
        lines.append("")
    for r in tried:
        for c in r.checks:
            if c.status in ("FAIL", "KNOWN"):
                said = "; ".join([c.reason, *(f"hint: {h}" for h in c.hints)])
                lines.append(f"- **{c.status}** `{r.backend}` {c.check}: {cell(said)}")
    return "\n".join(lines).rstrip() + "\n"


def _unverified(result: BackendResult) -> dict[str, str]:
    """Why, and which checks."""
    if result.verdict == "UNVERIFIED" and result.reason:
        return {result.reason: "nothing was run"}
    by_reason: dict[str, list[str]] = {}
    for check in result.checks:
        if check.status == "UNVERIFIED":
            by_reason.setdefault(check.reason, []).append(check.check)
    return {reason: ", ".join(names) for reason, names in by_reason.items()}
