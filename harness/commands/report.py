"""`lstm-parity report`: tables, charts and a page from the rows of a store."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import CallError
from .options import add_store, as_command

DEFAULT_REPORT = Path("lstm-parity-report")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    add_store(parser)
    parser.add_argument("--out", type=Path, default=DEFAULT_REPORT, metavar="DIR", help=f"default: {DEFAULT_REPORT}")
    parser.add_argument("--baseline", metavar="BACKEND", help="what to compare with (default: the sweep's first backend)")


def run(arguments: argparse.Namespace) -> int:
    """Write the report and print its summary; returns the exit code."""
    from lstm_parity.reports import ReportData, ReportError, write_report

    from ..store import Store

    if arguments.out.exists() and not arguments.out.is_dir():
        raise CallError(f"{arguments.out} is a file; --out takes a folder, which is created if it does not exist")
    with Store(arguments.store) as store:
        frames = store.frames()
    data = ReportData(**vars(frames), command=as_command(arguments), store=str(arguments.store))
    try:
        written = write_report(data, arguments.out, arguments.baseline)
    except ReportError as error:
        raise CallError(str(error)) from error
    for sentence in written.sentences:
        print(sentence)
    print(written.files[0])
    return 0
