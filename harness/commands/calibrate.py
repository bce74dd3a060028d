"""`lstm-parity calibrate`: the error rates of `duel` and `compare` on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import positive

DEFAULT_CALIBRATION = Path("lstm-parity-calibration.json")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument(
        "--pairs",
        type=positive,
        default=300,
        metavar="N",
        help="of identical code, at least; a fifth as many slowed ones (default: 300)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_CALIBRATION,
        metavar="FILE",
        help=f"every pair, and where a call goes on (default: {DEFAULT_CALIBRATION})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure the missing pairs and print the table of error rates; returns the exit code."""
    from ..compare.calibrate import as_markdown, calibrate, rates_met
    from ..text import show_progress
    from ..worker.spawn import interrupted_once

    with interrupted_once(to_the_end=arguments.is_process), show_progress() as progress:
        records = calibrate(arguments.out, arguments.pairs, progress)
    print(as_markdown(records))
    return 0 if rates_met(records) else 1
