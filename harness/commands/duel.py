"""`lstm-parity duel`: compares two backends, or two git revisions of one, in one interleaved run."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import CallError
from .cells import add_cells, definition_of
from .comparison import SIDES, add_comparison, check_files, output
from .options import as_command

if TYPE_CHECKING:
    from ..compare.decide import Pair
    from ..sweep.grid import Definition


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument("old", metavar="A", help="a backend, or BACKEND@REVISION of git")
    parser.add_argument("new", metavar="B", help="what is compared with it")
    parser.add_argument("sweep", nargs="?", default="smoke", metavar="PRESET|FILE.toml", help="on which cells (default: smoke)")
    add_cells(parser, "one less than there are cores")
    add_comparison(parser)
    parser.set_defaults(backend=None, weights=None)


def run(arguments: argparse.Namespace) -> int:
    """Run the duel and print its verdicts; returns the exit code."""
    from ..compare.duel import DUEL_BUDGET_S, duel_threads
    from ..sweep.run import refuse_too_large
    from ..worker.spawn import interrupted_once

    definition, _ = definition_of(arguments, DUEL_BUDGET_S)
    refuse_too_large(definition.cells)
    if arguments.threads is None:
        definition = replace(definition, threads=duel_threads())
    with interrupted_once(to_the_end=arguments.is_process):
        return duel(definition, arguments.old, arguments.new, arguments)


def duel(definition: Definition, old: str, new: str, arguments: argparse.Namespace) -> int:
    """Run the duel of two sides and print it; returns the exit code.

    Raises CallError for a side that does not exist, where no cell is supported by both and, after printing, where nothing could
    be compared, unless a side that was wrong is right now.
    """
    from ..compare.decide import why_untimed
    from ..compare.duel import ROUNDS, run_duel
    from ..compare.formatting import About
    from ..compare.revision import checked_out
    from ..machine.host import fingerprint
    from ..records import TIMED, now
    from ..text import describe_machine, show_progress, timestamp

    check_files(arguments)
    label, started_at = new if new != old else f"{new} (again)", now()
    with ExitStack() as stack:
        stack.enter_context(_exit_on_signals())
        versions = {old: stack.enter_context(checked_out(old)), label: stack.enter_context(checked_out(new))}
        progress = stack.enter_context(show_progress())
        launches = {name: version.launch for name, version in versions.items()}
        pairs = run_duel(replace(definition, backends=(old, label)), launches, progress)
    _refuse_nothing(pairs)
    machine, sides = fingerprint(), dict(zip(SIDES, versions.items(), strict=True))
    sampling = f"threads {definition.threads}, {definition.budget_s:g} s of sampling a cell over {ROUNDS} rounds"
    about = About(
        title=f"duel: {label} over {old}, {definition.title}",
        notes=(
            *(f"{side}: {name}, {version}" for side, (name, version) in sides.items()),
            f"{describe_machine(machine)}; {sampling}; {timestamp(started_at)}",
            "the times are medians of all rounds; the change is that of ratios within rounds, and need not be their quotient",
        ),
        facts={
            "kind": "duel",
            "command": as_command(arguments),
            "started_at": started_at,
            "old": old,
            "new": label,
            "commits": {side: {"commit": v.commit, "changed": v.changed} for side, (_, v) in sides.items()},
            "cells": definition.title,
            "threads": definition.threads,
            "budget_s": definition.budget_s,
            "rounds": ROUNDS,
            "machine": machine,
        },
    )
    code = output(pairs, about, arguments)
    fixed = any(pair.old.status in ("WRONG", "SUSPECT") and pair.new.status in TIMED for pair in pairs)
    if code == 0 and not fixed and all(pair.change is None for pair in pairs):
        raise CallError(f"nothing was compared: no cell has a time on both sides; {why_untimed(pairs[0])}")
    return code


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


def _refuse_nothing(pairs: Sequence[Pair]) -> None:
    """Raise CallError where no cell is supported by both sides. A promise that only the old side kept is BROKEN instead."""
    from ..compare.decide import why_untimed

    if all(not pair.broken and "UNSUPPORTED" in (pair.old.status, pair.new.status) for pair in pairs):
        cells = f"{len(pairs)} cells are" if len(pairs) > 1 else f"{pairs[0].cell} is not"
        none = "none of the " if len(pairs) > 1 else ""
        raise CallError(f"nothing to compare: {none}{cells} supported by both sides; {why_untimed(pairs[0])}")
