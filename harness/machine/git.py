"""What git tells of a checkout."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path

CODE = ("backends", "harness")
"""The packages whose code is in a time."""


def git(folder: Path, *words: str) -> str | None:
    """What git prints; None where it fails, or is not there. Hooks of the repository do not run.

    In a hook git's own variables name another repository, or the index of the commit under way, which must stay as it is.
    """
    command = ["git", "--no-optional-locks", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def own_commit() -> tuple[str | None, str | None]:
    """The commit of the checkout that this project's code lies in, and twelve digits that tell its uncommitted changes apart.

    None, None in an installed package; None for the changes where there are none.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    commit, status = git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain", "--", *CODE)
    if not status:
        return commit, None
    changes = git(root, "diff", "HEAD", "--", *CODE)
    return commit, sha256(f"{status}\n{changes}".encode()).hexdigest()[:12]
