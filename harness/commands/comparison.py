"""What `duel` and `compare` share: their options, and the output of their verdicts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import check_writable
from .options import share

if TYPE_CHECKING:
    from ..compare.decide import Decided, Pair
    from ..compare.formatting import About

SIDES = ("old", "new")


def add_comparison(parser: argparse.ArgumentParser) -> None:
    """How a comparison decides, and the files its verdicts are written to."""
    parser.add_argument(
        "--threshold", type=share, default=0.02, metavar="2%", help="the least change that matters (default: 2%%)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the verdicts for programs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the verdicts for a pull request")


def check_files(arguments: argparse.Namespace) -> None:
    """Raise CallError, before anything is measured, for a file that could not be written."""
    check_writable("--json", arguments.json)
    check_writable("--markdown", arguments.markdown)


def output(pairs: Sequence[Pair], about: About, arguments: argparse.Namespace) -> list[Decided]:
    """Decide, print, and write the files that were asked for; returns the verdicts."""
    from ..compare.decide import decide
    from ..compare.formatting import as_json, as_markdown, as_text

    decided = decide(pairs, arguments.threshold)
    print(as_text(decided, arguments.threshold, about), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(as_json(decided, arguments.threshold, about), encoding="utf-8")
    if arguments.markdown is not None:
        arguments.markdown.write_text(as_markdown(decided, arguments.threshold, about), encoding="utf-8")
    return decided
