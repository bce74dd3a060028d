"""`lstm-parity mutants`: the mutation score of the property suite."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import check_writable


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="the score and the kill matrix for programs")
    parser.add_argument("--store", type=Path, metavar="FILE", help="a store that keeps the score, for the report")


def run(arguments: argparse.Namespace) -> int:
    """Verify every mutant and print the score and the kill matrix as Markdown; returns the exit code."""
    import sys

    from ..faults.score import as_json, as_markdown
    from ..text import say
    from ..verify.checks import CHECKS
    from ..verify.keep import check_store
    from .mutation_score import keep_score, measure_score

    check_writable("--json", arguments.json)
    check_store(arguments.store)
    score = measure_score()
    if arguments.json is not None:
        arguments.json.write_text(as_json(score), encoding="utf-8")
    if arguments.store is not None:
        keep_score(arguments.store, score)
    say(as_markdown(score, [check.name for check in CHECKS]), sys.stdout)
    return int(bool(score.survivors or score.false_alarms))
