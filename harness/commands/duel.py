"""`lstm-parity duel`: compares two backends, or two git revisions of one, in one interleaved run."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .compare import add_comparison, check_files, output
from .options import as_command
from .sweep import add_cells, axes_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument("old", metavar="A", help="a backend, or BACKEND@REVISION of git")
    parser.add_argument("new", metavar="B", help="what is compared with it")
    parser.add_argument("sweep", nargs="?", default="smoke", metavar="PRESET|FILE.toml", help="on which cells (default: smoke)")
    add_cells(parser, "one less than there are cores")
    add_comparison(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the duel and print its verdicts; returns the exit code."""
    from ..api.duel import define_duel, measure, refuse_uncompared
    from ..text import show_progress
    from ..worker.spawn import interrupted_once

    check_files(arguments)
    definition = define_duel(arguments.sweep, axes=axes_of(arguments), threads=arguments.threads, budget_s=arguments.budget)
    with interrupted_once(to_the_end=arguments.is_process):
        with _exit_on_signals(), show_progress() as progress:
            pairs, about = measure(definition, arguments.old, arguments.new, as_command(arguments), progress)
        decided = output(pairs, about, arguments)
    refuse_uncompared(decided)
    return int(any(d.bad for d in decided))


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP (a cancelled job, a closed terminal) raise SystemExit, so that worktrees are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    numbers = [n for n in (signal.SIGTERM, getattr(signal, "SIGHUP", None)) if n and signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
