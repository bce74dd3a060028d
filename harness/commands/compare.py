"""`lstm-parity compare`: compares two finished runs through the control that each of them measured."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CallError, check_writable
from .options import add_store, as_command, share

if TYPE_CHECKING:
    from ..compare.decide import Decided, Pair
    from ..compare.formatting import About
    from ..records import Frames, Run

SIDES = ("old", "new")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    for name in SIDES:
        parser.add_argument(
            name, metavar=name.upper(), help="a store (its newest finished run), STORE#RUN, or a run of --store"
        )
    add_store(parser)
    add_comparison(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare the runs and print the verdicts; returns the exit code. Raises CallError for a run that does not exist."""
    from ..compare.finished import compare_runs
    from ..compare.formatting import About

    check_files(arguments)
    sides = {side: _find(getattr(arguments, side), arguments.store) for side in SIDES}
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
            *(f"{side}: {_describe(found)}" for side, found in sides.items()),
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
    return int(any(d.bad for d in output(pairs, about, arguments)))


def _describe(found: _Found) -> str:
    from ..text import describe_commit, describe_machine, timestamp

    run, commit = found.run, describe_commit(found.machine)
    name = f" ({run.name})" if run.name else ""
    measured = f"run {run.run_id}{name} of {found.store}, {timestamp(run.started_at)}"
    return f"{measured}, {describe_machine(found.machine)}" + (f", {commit}" if commit else "")


@dataclass(frozen=True)
class _Found:
    """A finished run, the store that it is in, and the store's tables."""

    store: Path
    run: Run
    frames: Frames

    @property
    def machine(self) -> dict[str, Any]:
        return dict(json.loads(self.run.fingerprint))


def _find(text: str, default: Path) -> _Found:
    """A run by STORE, STORE#RUN, or RUN of the default store, with the store's tables."""
    from ..store import NEWEST, Store

    file, _, name = text.rpartition("#")
    if not file or not Path(file).is_file():
        file, name = (text, NEWEST) if Path(text).is_file() else (str(default), text)
    with Store(Path(file)) as store:
        run = store.newest_finished() if name == NEWEST else store.find_run(name)
        if run.finished_at is None:
            raise CallError(f"run {run.run_id} of {file} is not finished: go on with its sweep (--resume), or name another run")
        return _Found(Path(file), run, store.frames())


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
