"""A backend as it was in a git revision: `cupy-raw@HEAD~1`, `my_lstm.py:MyLSTM@v0.2`.

The revision is checked out into a worktree of its own, from which the worker loads the package `backends` or the file. The
harness that measures is the present one for both sides.
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
    """One side of a duel."""

    worker: WorkerSpec
    commit: str | None = None
    """The commit of its code; None for code that is in no commit, or not known to git."""
    changed: bool = False
    """Whether the code differs from that commit."""

    def __str__(self) -> str:
        if self.commit is None:
            return "in no commit"
        return str(describe_commit({"git_commit": self.commit, "git_changes": self.changed}))


@contextmanager
def checked_out(text: str) -> Iterator[Version]:
    """BACKEND in the working tree, or BACKEND@REVISION, whose worktree exists until the context ends.

    Raises CallError if there is no such revision, or no repository in which to look for it.
    """
    if text.endswith("@"):
        raise CallError(f"{text}: there is no revision after the @; write for example {text}HEAD~1, or leave out the @")
    found = _AT_REVISION.fullmatch(text)
    if found is None:
        yield _working_tree(text)
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
        try:  # including `git worktree add`, during which the command may be ended
            if git(top, "worktree", "add", "--detach", "--quiet", str(tree), commit) is None:
                raise CallError(
                    f"{text}: git cannot make a worktree of {revision} in {folder}; is there room, and may you write to {top}?"
                )
            yield Version(_worker(tree, top, backend, file, text), commit)
        finally:
            git(top, "worktree", "remove", "--force", "--force", str(tree))  # twice: git locks what it has not finished
            shutil.rmtree(tree, ignore_errors=True)
            _forget(top, tree)


def _forget(top: Path, tree: Path) -> None:
    """Remove git's entry of a deleted worktree, but not those of others, which may be on a disk that is not mounted."""
    common = git(top, "rev-parse", "--path-format=absolute", "--git-common-dir")
    for known in Path(common).glob("worktrees/*/gitdir") if common else ():
        with suppress(OSError):  # its owner may be removing that worktree at the same time
            if Path(known.read_text().strip()).parent == tree:
                shutil.rmtree(known.parent, ignore_errors=True)


def _working_tree(text: str) -> Version:
    """A backend without a revision; its commit if git tracks its file, or the package of the built-in backends."""
    file = _FILE.fullmatch(text)
    package = Path(lstm_parity.__file__).parent / "backends"
    where = Path(file["file"]) if file else package.resolve() if text in BUILT_IN else None
    if where is None or git(where.parent, "ls-files", "--error-unmatch", "--", where.name) is None:
        return Version(WorkerSpec(text))
    commit = git(where.parent, "rev-parse", "--verify", "--quiet", "HEAD")
    return Version(WorkerSpec(text), commit, bool(git(where.parent, "status", "--porcelain", "--", where.name)))


def _worker(tree: Path, top: Path, backend: str, file: re.Match[str] | None, text: str) -> WorkerSpec:
    ours = backends_package(tree) is not None
    if file is None:
        if not ours and ":" not in backend:
            raise CallError(f"{text}: that revision of {top} has no package `backends`; call this in a checkout of lstm-parity")
        return WorkerSpec(backend, (str(tree), str(tree / "src")) if (tree / "src").is_dir() else (str(tree),))
    path = (
        Path(file["file"]).parent.resolve() / Path(file["file"]).name
    )  # a link itself, not its target, is what the repository has
    there = tree / path.relative_to(top.resolve())
    if not there.exists():
        raise CallError(f"{text}: that revision has no {file['file']}")
    return WorkerSpec(f"{there}:{file['name']}", (str(tree),) if ours else ())


def _repository(places: tuple[Path, ...], backend: str) -> Path:
    """The checkout of a backend: that of its file, else of the working directory, else of this package."""
    for place in places:
        top = git(place, "rev-parse", "--show-toplevel") if place.is_dir() else None
        if top:
            return Path(top)
    raise CallError(f"{backend}@...: {places[0].resolve()} is not in a git repository, so it has no revisions")
