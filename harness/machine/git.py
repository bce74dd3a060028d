"""The commit of a git checkout."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path

CODE = ("backends", "harness")
"""The folders whose code a measured time depends on."""


def git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; None where it fails or git is not installed. Hooks of the repository do not run.

    GIT_ variables are removed: within a hook they name another repository, or the index of an unfinished commit.
    """
    command = ["git", "--no-optional-locks", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def own_commit() -> tuple[str | None, str | None]:
    """The commit of the checkout that contains this code, and a digest of its uncommitted changes (None without changes).

    None, None in an installed package.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    commit, status = git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain", "--", *CODE)
    if not status:
        return commit, None
    changes = git(root, "diff", "HEAD", "--", *CODE)
    return commit, sha256(f"{status}\n{changes}".encode()).hexdigest()[:12]
