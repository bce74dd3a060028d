"""`lstm-parity duel` and `lstm-parity compare`: from words to printed verdicts, and the exit code."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lstm_parity.reports.hardware import commit_in_words, machine_in_words

from ..compare.decide import Pair, decide, why_untimed
from ..compare.duel import ROUNDS, run_duel
from ..compare.finished import compare_runs
from ..compare.formatting import About, as_json, as_markdown, as_text
from ..compare.revision import checked_out
from ..errors import CallError, check_writable
from ..machine.host import fingerprint
from ..records import TIMED, Frames, Run, now
from ..store import NEWEST, Store
from ..sweep.grid import Definition
from ..sweep.progress import shown_progress
from .arguments import as_command
from .runs import to_the_second

SIDES = ("old", "new")


def duel(definition: Definition, old: str, new: str, arguments: argparse.Namespace) -> int:
    """Run the duel of two sides and print it; returns the exit code.

    Raises CallError for a side that is not there, where no cell is supported by both and, after printing, where nothing could
    be compared: a side that was wrong and is right now is no such case.
    """
    _check_files(arguments)
    label, started_at = new if new != old else f"{new} (again)", now()
    with ExitStack() as stack:
        stack.enter_context(_ended_in_order())
        versions = {old: stack.enter_context(checked_out(old)), label: stack.enter_context(checked_out(new))}
        progress = stack.enter_context(shown_progress())
        launches = {name: version.launch for name, version in versions.items()}
        pairs = run_duel(replace(definition, backends=(old, label)), launches, progress)
    _refuse_nothing(pairs)
    machine, sides = fingerprint(), dict(zip(SIDES, versions.items(), strict=True))
    sampling = f"threads {definition.threads}, {definition.budget_s:g} s of sampling a cell over {ROUNDS} rounds"
    about = About(
        title=f"duel: {label} over {old}, {definition.title}",
        notes=(
            *(f"{side}: {name}, {version}" for side, (name, version) in sides.items()),
            f"{machine_in_words(machine)}; {sampling}; {to_the_second(started_at)}",
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
    code = _told(pairs, about, arguments)
    mended = any(pair.old.status in ("WRONG", "SUSPECT") and pair.new.status in TIMED for pair in pairs)
    if code == 0 and not mended and all(pair.change is None for pair in pairs):
        raise CallError(f"nothing was compared: no cell has a time on both sides; {why_untimed(pairs[0])}")
    return code


@dataclass(frozen=True)
class _Found:
    """A finished run, the store that it is in, and the store's tables."""

    store: Path
    run: Run
    frames: Frames

    @property
    def machine(self) -> dict[str, Any]:
        return dict(json.loads(self.run.fingerprint))


def compare(arguments: argparse.Namespace) -> int:
    """Compare two finished runs and print it; returns the exit code. Raises CallError for a run that is not there."""
    _check_files(arguments)
    sides = {side: _run(getattr(arguments, side), arguments.store) for side in SIDES}
    old, new = sides.values()
    if old.run.run_id == new.run.run_id:
        raise CallError(
            f"{arguments.old} and {arguments.new} are the same run, {old.run.run_id}; `lstm-parity runs` lists others"
        )
    pairs = compare_runs((old.run, old.frames), (new.run, new.frames), arguments.threshold)
    if not pairs:
        raise CallError(f"{arguments.old} and {arguments.new} have no cell and backend in common, so nothing can be compared")
    names = [found.run.name or found.run.run_id for found in sides.values()]
    about = About(
        title=f"compare: {names[1]} over {names[0]}",
        notes=(
            *(f"{side}: {_in_words(found)}" for side, found in sides.items()),
            "the times are medians of a run; the change is that of the ratios to the control, and need not be their quotient",
        ),
        facts={
            "kind": "compare",
            "command": as_command(arguments),
            "old": old.run.run_id,
            "new": new.run.run_id,
            "runs": {
                side: {
                    "store": str(found.store),
                    "name": found.run.name,
                    "started_at": found.run.started_at,
                    "machine": found.machine,
                }
                for side, found in sides.items()
            },
        },
    )
    return _told(pairs, about, arguments)


def _in_words(found: _Found) -> str:
    run, commit = found.run, commit_in_words(found.machine)
    name = f" ({run.name})" if run.name else ""
    measured = f"run {run.run_id}{name} of {found.store}, {to_the_second(run.started_at)}"
    return f"{measured}, {machine_in_words(found.machine)}" + (f", {commit}" if commit else "")


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Within, a signal that ends the process (a cancelled job gets one, a closed terminal) lets worktrees go first."""
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


def _check_files(arguments: argparse.Namespace) -> None:
    """Raise CallError, before anything is measured, for a file that could not be written."""
    check_writable("--json", arguments.json)
    check_writable("--markdown", arguments.markdown)


def _refuse_nothing(pairs: Sequence[Pair]) -> None:
    """Raise CallError where not one cell is supported by both sides; a promise that was kept before is another matter."""
    if all(not pair.broken and "UNSUPPORTED" in (pair.old.status, pair.new.status) for pair in pairs):
        cells = f"{len(pairs)} cells are" if len(pairs) > 1 else f"{pairs[0].cell} is not"
        none = "none of the " if len(pairs) > 1 else ""
        raise CallError(f"nothing to compare: {none}{cells} supported by both sides; {why_untimed(pairs[0])}")


def _run(text: str, default: Path) -> _Found:
    """A run by STORE, STORE#RUN, or RUN of the default store, with the store's tables."""
    file, _, name = text.rpartition("#")
    if not file or not Path(file).is_file():
        file, name = (text, NEWEST) if Path(text).is_file() else (str(default), text)
    with Store(Path(file)) as store:
        run = store.newest_finished() if name == NEWEST else store.find_run(name)
        if run.finished_at is None:
            raise CallError(f"run {run.run_id} of {file} is not finished: go on with its sweep (--resume), or name another run")
        return _Found(Path(file), run, store.frames())


def _told(pairs: Sequence[Pair], about: About, arguments: argparse.Namespace) -> int:
    decided = decide(pairs, arguments.threshold)
    print(as_text(decided, arguments.threshold, about), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(as_json(decided, arguments.threshold, about), encoding="utf-8")
    if arguments.markdown is not None:
        arguments.markdown.write_text(as_markdown(decided, arguments.threshold, about), encoding="utf-8")
    return int(any(d.bad for d in decided))
