"""Known failures: a TOML file with a table for each backend, `check = "reason"`."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

from lstm_parity.backends import backend_names

from ..errors import CallError


def load_known_failures(path: Path, backends: Sequence[str], checks: Collection[str]) -> dict[str, dict[str, str]]:
    """Reasons by backend and check. Raises CallError for a file that cannot be read, and for names that match nothing."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CallError(f"--known-failures {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CallError(f"--known-failures {path}: not valid TOML: {error}") from error
    for backend, table in found.items():
        if not isinstance(table, dict) or not all(isinstance(reason, str) and reason.strip() for reason in table.values()):
            raise CallError(f'--known-failures {path}: expected a table for each backend with lines of check = "reason"')
        if backend not in {*backends, *backend_names()}:  # one file may serve several calls
            raise CallError(
                f"--known-failures {path}: {backend!r} is neither verified here ({', '.join(backends)}) nor registered"
            )
        for check in table:
            if check not in checks:
                raise CallError(f"--known-failures {path}: {backend}: there is no check {check!r}; --list-checks lists them")
    return found
