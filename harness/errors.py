"""The one exception that the command line turns into a line on standard error and exit code 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class CallError(Exception):
    """The call cannot be carried out. The message is one line: what, where, how to mend it."""


def check_writable(option: str, file: Path | None) -> None:
    """Raise CallError where the file that an option names could not be written in the end."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        why = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise CallError(f"{option} {file}: {why}")
