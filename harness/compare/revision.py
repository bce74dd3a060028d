"""A backend as it was in a git revision: `cupy-raw@HEAD~1`, `my_lstm.py:MyLSTM@v0.2`.

The revision is checked out into a worktree of its own, and the worker finds the package `backends` (or the file) there. The
harness that measures is the one that runs now, for both sides alike.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import lstm_parity
from lstm_parity.backends.registry import BUILT_IN

from ..errors import CallError
from ..machine.git import git
from ..sweep.workers import WorkerSpec
from ..text import describe_commit
from ..worker.server import backends_package

_AT_REVISION = re.compile(r"(?P<backend>.+?\.py:\w+|[^@]+)@(?P<revision>.+)")
_FILE = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")


@dataclass(frozen=True)
class Version:
    """One side of a duel: how its worker is started, the commit that its code is of, and whether it differs from that commit.

    commit: None for code that is in no commit, or of which git does not tell.
    """

    launch: WorkerSpec
    commit: str | None = None
    changed: bool = False

    def __str__(self) -> str:
        if self.commit is None:
            return "in no commit"
        return str(describe_commit({"git_commit": self.commit, "git_changes": self.changed}))


@contextmanager
def checked_out(text: str) -> Iterator[Version]:
    """BACKEND as it lies there, or BACKEND@REVISION, whose worktree is there as long as this is entered.

    Raises CallError where there is no such revision, or no repository to look for it in.
    """
    if text.endswith("@"):
        raise CallError(f"{text}: no revision stands after the @; write {text}HEAD~1, say, or leave the @ out")
    found = _AT_REVISION.fullmatch(text)
    if found is None:
        yield _as_it_lies(text)
        return
    if shutil.which("git") is None:
        raise CallError("BACKEND@REVISION needs git, which is not on the PATH")
    backend, revision = found["backend"], found["revision"]
    file = _FILE.fullmatch(backend)
    top = _repository((Path(file["file"]).parent,) if file else (Path(), Path(lstm_parity.__file__).parent), backend)
    commit = git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise CallError(f"{text}: {top} has no revision {revision!r}; `git log --oneline` lists commits, `git tag` names")
    with tempfile.TemporaryDirectory(prefix="lstm-parity-revision-") as folder:
        tree = Path(folder) / commit[:12]
        try:  # from here on: the command may be ended while git is at it
            if git(top, "worktree", "add", "--detach", "--quiet", str(tree), commit) is None:
                raise CallError(
                    f"{text}: git cannot make a worktree of {revision} in {folder}; is there room, and may you write to {top}?"
                )
            yield Version(_launch_from(tree, top, backend, file, text), commit)
        finally:
            git(top, "worktree", "remove", "--force", "--force", str(tree))  # twice: git locks what it has not finished
            shutil.rmtree(tree, ignore_errors=True)
            _forget(top, tree)


def _forget(top: Path, tree: Path) -> None:
    """Remove what git still knows of a worktree that is gone, and nothing of others that may only be away for a while."""
    common = git(top, "rev-parse", "--path-format=absolute", "--git-common-dir")
    for known in Path(common).glob("worktrees/*/gitdir") if common else ():
        with suppress(OSError):  # whoever owns that worktree may be removing it just now
            if Path(known.read_text().strip()).parent == tree:
                shutil.rmtree(known.parent, ignore_errors=True)


def _as_it_lies(text: str) -> Version:
    """A backend that is not of a revision; its commit where git knows its file, or the package of our own backends."""
    file = _FILE.fullmatch(text)
    where = Path(file["file"]) if file else Path(lstm_parity.__file__).parent / "backends" if text in BUILT_IN else None
    if where is None or git(where.parent, "ls-files", "--error-unmatch", "--", where.name) is None:
        return Version(WorkerSpec(text))
    commit = git(where.parent, "rev-parse", "--verify", "--quiet", "HEAD")
    return Version(WorkerSpec(text), commit, bool(git(where.parent, "status", "--porcelain", "--", where.name)))


def _launch_from(tree: Path, top: Path, backend: str, file: re.Match[str] | None, text: str) -> WorkerSpec:
    ours = backends_package(tree) is not None
    if file is None:
        if not ours and ":" not in backend:
            raise CallError(f"{text}: that revision of {top} has no package `backends`; call this in a checkout of lstm-parity")
        return WorkerSpec(backend, (str(tree), str(tree / "src")) if (tree / "src").is_dir() else (str(tree),))
    path = Path(file["file"]).parent.resolve() / Path(file["file"]).name  # a link is what the repository holds
    there = tree / path.relative_to(top.resolve())
    if not there.exists():
        raise CallError(f"{text}: that revision has no {file['file']}")
    return WorkerSpec(f"{there}:{file['name']}", (str(tree),) if ours else ())


def _repository(places: tuple[Path, ...], backend: str) -> Path:
    """The checkout that a backend is looked for in: that of its file, or of the working folder, else the one this lies in."""
    for place in places:
        top = git(place, "rev-parse", "--show-toplevel") if place.is_dir() else None
        if top:
            return Path(top)
    raise CallError(f"{backend}@...: {places[0].resolve()} is not in a git repository, so it has no revisions")
