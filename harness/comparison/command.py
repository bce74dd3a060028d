"""`lstm-parity duel` and `lstm-parity compare`: from words to printed verdicts, and the exit code."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import CallError, check_writable
from ..machine import fingerprint
from ..records import Frames, Run
from ..store import Store
from ..sweep.grid import Definition
from ..sweep.progress import shown_progress
from .decide import Decided, decide
from .duel import ROUNDS, run_duel
from .finished import compare_runs
from .revision import launched
from .words import as_json, as_markdown, as_text


def duel(definition: Definition, old: str, new: str, arguments: argparse.Namespace) -> int:
    """Run the duel of two sides and print it; returns the exit code. Raises CallError for a side that is not there."""
    _check_files(arguments)
    label = new if new != old else f"{new} (again)"
    with ExitStack() as stack:
        stack.enter_context(_ended_in_order())
        launches = {old: stack.enter_context(launched(old)), label: stack.enter_context(launched(new))}
        progress = stack.enter_context(shown_progress())
        pairs = run_duel(replace(definition, backends=(old, label)), launches, progress)
    title = f"duel: {label} over {old}, {definition.title}, {ROUNDS} rounds"
    about = {"kind": "duel", "old": old, "new": label, "machine": fingerprint()}
    return _told(decide(pairs, arguments.threshold), title, about, arguments)


def compare(arguments: argparse.Namespace) -> int:
    """Compare two finished runs and print it; returns the exit code. Raises CallError for a run that is not there."""
    _check_files(arguments)
    old, new = (_run(text, arguments.store) for text in (arguments.old, arguments.new))
    pairs = compare_runs(old, new, arguments.threshold)
    if not pairs:
        raise CallError(f"{arguments.old} and {arguments.new} have no cell and backend in common, so nothing can be compared")
    names = [run.name or run.run_id for run, _ in (old, new)]
    about = {"kind": "compare", "old": old[0].run_id, "new": new[0].run_id}
    return _told(decide(pairs, arguments.threshold), f"compare: {names[1]} over {names[0]}", about, arguments)


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


def _run(text: str, default: Path) -> tuple[Run, Frames]:
    """A run by STORE, STORE#RUN, or RUN of the default store, with the store's tables."""
    file, _, name = text.rpartition("#")
    if not file or not Path(file).is_file():
        file, name = (text, "newest") if Path(text).is_file() else (str(default), text)
    with Store(Path(file)) as store:
        run = store.find_run(name)
        if run.finished_at is None:
            raise CallError(f"run {run.run_id} of {file} is not finished: go on with its sweep (--resume), or name another run")
        return run, store.frames()


def _told(decided: Sequence[Decided], title: str, about: dict[str, Any], arguments: argparse.Namespace) -> int:
    print(as_text(decided, title), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(as_json(decided, arguments.threshold, about), encoding="utf-8")
    if arguments.markdown is not None:
        arguments.markdown.write_text(as_markdown(decided, title), encoding="utf-8")
    return int(any(d.bad for d in decided))
