"""The exception that the command line reports as one line on standard error, with exit code 2."""

from __future__ import annotations

TYPE_CHECKING = False  # see lstm_parity/__init__.py
if TYPE_CHECKING:
    from pathlib import Path


class CallError(Exception):
    """The call cannot be carried out. The message is one line: what failed, where, and how to fix it."""


def check_writable(option: str, file: Path | None) -> None:
    """Raise CallError if the file that an option names could not be written later."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        why = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise CallError(f"{option} {file}: {why}")
