"""The argument parser of the command line and of its sub-commands. Imports as little as possible, which keeps --help fast."""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False  # see lstm_parity/__init__.py
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line, and does not accept abbreviated options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": _Formatter, **options})

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        if message.endswith("expected one argument"):
            message += " (one that begins with - is written --option=-1)"
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` says more\n")


class _Formatter(argparse.HelpFormatter):
    """As wide as the terminal; argparse itself imports shutil, and with it three compression libraries, to find that out."""

    def __init__(self, prog: str, *arguments: Any, **options: Any) -> None:
        super().__init__(prog, *arguments, **{**options, "width": _terminal_columns() - 2})


def _terminal_columns() -> int:
    """As shutil.get_terminal_size: $COLUMNS, else the terminal of standard output, else 80."""
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
        if columns <= 0 and sys.__stdout__ is not None:
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return columns if columns > 0 else 80
