"""A backend as it was in a git revision: `cupy-raw@HEAD~1`, `my_lstm.py:MyLSTM@v0.2`.

The revision is checked out into a worktree of its own, and the worker finds the package `backends` (or the file) there. The
harness that measures is the one that runs now, for both sides alike.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness

from ..errors import CallError
from ..sweep.workers import Launch

_AT_REVISION = re.compile(r"(?P<backend>.+?\.py:\w+|[^@]+)@(?P<revision>.+)")
_FILE = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")


@contextmanager
def launched(text: str) -> Iterator[Launch]:
    """How to start BACKEND or BACKEND@REVISION; the revision's worktree is there as long as this is entered.

    Raises CallError where there is no such revision, or no repository to look for it in.
    """
    found = _AT_REVISION.fullmatch(text)
    if found is None:
        yield Launch(text)
        return
    backend, revision = found["backend"], found["revision"]
    file = _FILE.fullmatch(backend)
    top = _repository((Path(file["file"]).parent,) if file else (Path(), Path(harness.__file__).parent), backend)
    commit = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise CallError(f"{text}: {top} has no revision {revision!r}; `git log --oneline` lists them")
    with tempfile.TemporaryDirectory(prefix="lstm-parity-revision-") as folder:
        tree = Path(folder) / commit[:12]
        _git(top, "worktree", "prune")
        if _git(top, "worktree", "add", "--detach", "--quiet", str(tree), commit) is None:
            raise CallError(
                f"{text}: git cannot make a worktree of {revision} in {folder}; is there room, and may you write to {top}?"
            )
        try:
            yield _launch_from(tree, top, backend, file, text)
        finally:
            _git(top, "worktree", "remove", "--force", str(tree))


def _launch_from(tree: Path, top: Path, backend: str, file: re.Match[str] | None, text: str) -> Launch:
    ours = (tree / "backends" / "registry.py").exists()
    if file is None:
        if not ours and ":" not in backend:
            raise CallError(f"{text}: that revision of {top} has no package `backends`; call this in a checkout of lstm-parity")
        return Launch(backend, (str(tree), str(tree / "src")) if (tree / "src").is_dir() else (str(tree),))
    there = tree / Path(file["file"]).resolve().relative_to(top.resolve())
    if not there.exists():
        raise CallError(f"{text}: that revision has no {file['file']}")
    return Launch(f"{there}:{file['name']}", (str(tree),) if ours else ())


def _repository(places: tuple[Path, ...], backend: str) -> Path:
    """The checkout that a backend is looked for in: that of its file, or of the working folder, else the one this lies in."""
    for place in places:
        top = _git(place, "rev-parse", "--show-toplevel") if place.is_dir() else None
        if top:
            return Path(top)
    raise CallError(f"{backend}@...: {places[0].resolve()} is not in a git repository, so it has no revisions")


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None where it fails. Hooks of the repository do not run."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CallError("BACKEND@REVISION needs git, which is not on the PATH") from None
    return done.stdout.strip() if done.returncode == 0 else None
