"""`lstm-parity runs`: lists the runs of a store; names, exports and deletes them."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CallError, check_writable
from ..text import count_of, describe_commit, describe_machine, timestamp
from .options import DEFAULT_STORE, add_store
from .parser import Parser

if TYPE_CHECKING:
    from ..records import Run
    from ..store import Store

ID = re.compile(r"\d+(T(\d+(-[0-9a-f]*)?)?)?")
"""A run's id or the beginning of one; a name of this form would hide a run."""
MAX_NAME_LENGTH = 100
SUFFIXES = (".sqlite", ".csv", ".parquet")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command; without an action it lists."""
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="the list as JSON on standard output")
    parser.set_defaults(action=None)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    which = "an id, the beginning of one, a name, or newest"
    name = actions.add_parser("name", help="give a run a name")
    name.add_argument("which", metavar="RUN", help=which)
    name.add_argument("name", nargs="?", metavar="NAME", help="what to call it")
    name.add_argument("--clear", action="store_true", help="take its name away")
    export = actions.add_parser("export", help="write a run to a file")
    export.add_argument("which", metavar="RUN", help=which)
    export.add_argument(
        "file", type=Path, metavar="FILE", help="ends in .sqlite (a store of its own), .csv or .parquet (the rows)"
    )
    delete = actions.add_parser("delete", help="delete runs with all their samples")
    delete.add_argument("which", nargs="+", metavar="RUN", help=which)
    delete.add_argument("--unfinished", action="store_true", help="even one that is not finished: a sweep may be at work on it")
    for action in (name, export, delete):  # after the action too, where it replaces one given before
        action.add_argument("--store", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=f"default: {DEFAULT_STORE}")


def run(arguments: argparse.Namespace) -> int:
    """List the runs or carry out the action; returns the exit code. Raises CallError."""
    from ..store import Store

    if arguments.action is not None and arguments.json:
        raise CallError("--json is for the list of runs alone")
    if arguments.action == "name" and (arguments.name is None) is not arguments.clear:
        raise CallError("runs name takes a NAME, or --clear")
    with Store(arguments.store) as store:
        match arguments.action:
            case "name":
                print(rename(store, arguments.which, arguments.name))
            case "export":
                print(export(store, arguments.which, arguments.file))
            case "delete":
                print(delete(store, arguments.which, unfinished=arguments.unfinished))
            case _:
                print(as_json(store) if arguments.json else as_text(store))
    return 0


def described(store: Store, run: Run) -> dict[str, Any]:
    """A run as plain values. finished_at: None if unfinished; cells: of its definition; cells_done: those measured."""
    definition, machine = json.loads(run.definition), json.loads(run.fingerprint)
    return {
        "run_id": run.run_id,
        "name": run.name,
        "title": definition.get("title"),
        "command": run.command,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "machine_id": run.machine_id,
        "machine": describe_machine(machine),
        "git_commit": machine.get("git_commit"),
        "git_changes": machine.get("git_changes"),
        "backends": list(definition.get("backends", ())),
        "cells": len(definition.get("cells", ())),
        "cells_done": len(store.finished_cells(run.run_id)),
        "statuses": dict(sorted(store.statuses(run.run_id).items())),
    }


def as_json(store: Store) -> str:
    """All runs, the newest first."""
    return json.dumps({"schema": 1, "runs": [described(store, run) for run in store.runs()]}, indent=2)


def as_text(store: Store) -> str:
    """All runs, the newest first, a paragraph each."""
    found = [described(store, run) for run in store.runs()]
    return "\n".join(map(_paragraph, found)) or f"{store.path} has no runs; `lstm-parity sweep` makes one"


def _paragraph(run: dict[str, Any]) -> str:
    title = f"{run['run_id']}  {run['name']}" if run["name"] else run["run_id"]
    statuses = ", ".join(f"{count} {status}" for status, count in run["statuses"].items()) or "no rows"
    commit = f", {said}" if (said := describe_commit(run)) else ""
    ended = timestamp(run["finished_at"]) if run["finished_at"] else "...: not finished"
    return "\n    ".join(
        [
            title,
            f"{run['title']}: {', '.join(run['backends'])}",
            f"{run['cells_done']} of {run['cells']} cells: {statuses}",
            f"{timestamp(run['started_at'])} to {ended}",
            f"machine {run['machine_id']}, {run['machine']}{commit}",
        ]
    )


def rename(store: Store, text: str, name: str | None) -> str:
    """Name a run, or remove its name (None); returns a message. Raises CallError for a name that is invalid or taken."""
    from ..store import NEWEST

    run = store.find_run(text)
    if name is not None:
        if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > MAX_NAME_LENGTH:
            raise CallError(
                f"{name!r} is not a valid name, which is one printable line of at most {MAX_NAME_LENGTH} characters"
            )
        if name == NEWEST or ID.fullmatch(name):
            raise CallError(f"{name!r} is not a valid name: it could be a run's id or the word {NEWEST!r}; choose another")
        if "#" in name:
            raise CallError(f"{name!r} is not a valid name: # separates a store from a run; leave it out")
        taken = next((other for other in store.runs() if other.name == name and other.run_id != run.run_id), None)
        if taken is not None:
            raise CallError(
                f"{name!r} is the name of run {taken.run_id}; choose another, or remove it from that run with --clear"
            )
    store.name_run(run.run_id, name)
    before = f", before {run.name}" if run.name not in (None, name) else ""
    return f"run {run.run_id} has no name now" if name is None else f"run {run.run_id} is called {name}{before}"


def export(store: Store, text: str, target: Path) -> str:
    """Write a run to a new file whose suffix gives the format (a store, or the rows); returns a message.

    Raises CallError for another suffix and for a file that exists. After a failure no file is left.
    """
    write: dict[str, Callable[[Run], None]] = {
        ".sqlite": lambda run: _to_store(store, run, target),
        ".csv": lambda run: store.rows_of(run.run_id).to_csv(target, index=False),
        ".parquet": lambda run: store.rows_of(run.run_id).to_parquet(target, index=False),
    }
    if target.suffix not in SUFFIXES:
        raise CallError(f"{target}: a file's name ends in .sqlite (a store of its own), .csv or .parquet (the rows)")
    check_writable("FILE", target)
    run = store.find_run(text)
    try:
        target.open("xb").close()  # created first, so that no existing file is overwritten
    except FileExistsError:
        raise CallError(f"{target} already exists; choose another name, or delete it first") from None
    try:
        write[target.suffix](run)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    count = sum(store.statuses(run.run_id).values())
    return f"{target}: run {run.run_id}, {count_of(count, 'row')}"


def _to_store(store: Store, run: Run, target: Path) -> None:
    from ..store import Store

    Store(target, create=True).close()
    store.copy_run(run, target)


def delete(store: Store, texts: Sequence[str], *, unfinished: bool) -> str:
    """Delete runs, all of them or none; returns a message with the file's size.

    unfinished: delete unfinished runs too. Raises CallError for one of these otherwise.
    """
    runs = list({run.run_id: run for run in map(store.find_run, texts)}.values())
    if not unfinished and (open_run := next((run for run in runs if run.finished_at is None), None)):
        raise CallError(
            f"run {open_run.run_id} is not finished: a sweep may still be running, and --resume can continue it; "
            "--unfinished deletes it nevertheless"
        )
    counts = {run.run_id: sum(store.statuses(run.run_id).values()) for run in runs}
    before = store.path.stat().st_size
    store.delete_runs(counts)
    lines = [f"deleted run {run.run_id}{f' ({run.name})' * bool(run.name)}, {counts[run.run_id]} rows" for run in runs]
    try:
        store.shrink()
    except CallError as error:
        lines.append(f"the file keeps its size: {error}")
    else:
        lines.append(f"{store.path}: {before:,} bytes before, {store.path.stat().st_size:,} now")
    return "\n".join(lines)
