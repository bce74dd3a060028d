"""`lstm-parity mutants`: the mutation score of the property suite."""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import check_writable
from ..text import say

if TYPE_CHECKING:
    from ..faults.fault import Mutant
    from ..faults.score import FaultResult, Score

EXAMPLES = 6
"""Drawn problems a check; a wrong one that survives them is tried again with EXAMPLES_FOR_SURVIVORS."""
EXAMPLES_FOR_SURVIVORS = 60


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="the score and the kill matrix for programs")
    parser.add_argument("--store", type=Path, metavar="FILE", help="a store that keeps the score, for the report")


def run(arguments: argparse.Namespace) -> int:
    """Verify every mutant and print the score and the kill matrix as Markdown; returns the exit code."""
    import sys

    from ..faults.score import as_json, as_markdown
    from ..verify.checks import CHECKS
    from ..verify.keep import check_store

    check_writable("--json", arguments.json)
    check_store(arguments.store)
    score = measure_score()
    if arguments.json is not None:
        arguments.json.write_text(as_json(score), encoding="utf-8")
    if arguments.store is not None:
        keep_score(arguments.store, score)
    say(as_markdown(score, [check.name for check in CHECKS]), sys.stdout)
    return int(bool(score.survivors or score.false_alarms))


def measure_score() -> Score:
    """All mutants, on all cores; says on standard error how far it is."""
    from ..faults.mutants import right, wrong
    from ..faults.score import Score
    from ..worker.pool import run_in_parallel

    names = [m.name for m in (*wrong(), *right())]
    found: dict[str, FaultResult] = {}
    show = log_progress(lambda: f"mutants: {len(found)} of {len(names)}")
    for name, result in run_in_parallel(try_by_name, names, show):
        found[name] = result
        show()
    return Score(*(tuple(found[m.name] for m in mutants()) for mutants in (wrong, right)))


def try_by_name(name: str) -> FaultResult:
    """One mutant, wrong or right; a wrong one that survives is tried again with more examples."""
    from ..faults.mutants import right, wrong

    mutant = next(m for m in (*wrong(), *right()) if m.name == name)
    result = try_mutant(mutant, EXAMPLES)
    if result.killed_by or mutant.family == "right":
        return result
    return try_mutant(mutant, EXAMPLES_FOR_SURVIVORS)


def try_mutant(mutant: Mutant, examples: int, *, first_only: bool = False) -> FaultResult:
    """Run all checks on one mutant, in this process. first_only: stop at the first that fails."""
    from ..faults.score import FaultResult
    from ..verify.checks import CHECKS
    from ..verify.isolation.local import LocalExecutor
    from ..verify.search import search

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
    return FaultResult(mutant.name, mutant.family, mutant.what, mutant.after, tuple(killed_by), tuple(tried), reason)


def keep_score(path: Path, score: Score) -> None:
    """Write the score to a store, from which the report takes it."""
    from ..machine.host import fingerprint
    from ..records import MutationScore, now
    from ..store import Store

    kept = MutationScore(
        total=len(score.wrong),
        killed=score.killed,
        survivors=json.dumps([r.name for r in score.survivors]),
        false_alarms=json.dumps([r.name for r in score.false_alarms]),
        git_commit=fingerprint()["git_commit"],
        finished_at=now(),
    )
    with Store(path, create=True) as store:
        store.add_mutation_score(kept)


def log_progress(line: Callable[[], str]) -> Callable[[], None]:
    """What prints line() on standard error when it is called, at most once in HEARTBEAT_S."""
    from ..worker.pool import HEARTBEAT_S

    last = float("-inf")

    def show() -> None:
        nonlocal last
        if monotonic() - last >= HEARTBEAT_S:
            last = monotonic()
            say(line())

    return show
