"""Types of option values, and what several sub-commands share."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

DEFAULT_STORE = Path("lstm-parity.sqlite")


def as_command(arguments: argparse.Namespace) -> str:
    """The command line as text that can be stored, whatever bytes its file names consist of."""
    return shlex.join(["lstm-parity", *arguments.argv]).encode(errors="backslashreplace").decode()


def add_store(parser: argparse.ArgumentParser) -> None:
    """--store FILE with the default store."""
    parser.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")


def comma_separated(text: str) -> list[str]:
    """The parts between commas, without surrounding spaces."""
    return [part.strip() for part in text.split(",")]


def integers(text: str) -> list[Any]:
    """Comma-separated integers."""
    values = []
    for part in comma_separated(text):
        try:
            values.append(int(part))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not an integer") from None
    return values


def input_sizes(text: str) -> list[Any]:
    """Comma-separated integers, or the word `hidden`."""
    return ["hidden"] if text == "hidden" else integers(text)


def positive(text: str) -> int:
    """An integer of 1 or more."""
    return _integer(text, 1, "an integer above 0")


def natural(text: str) -> int:
    """An integer of 0 or more."""
    return _integer(text, 0, "an integer of 0 or more")


def _integer(text: str, minimum: int, kind: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = minimum - 1
    if value < minimum:
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}")
    return value


def seconds(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def share(text: str) -> float:
    """2% or 0.02."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, such as 2% or 0.02")
    return value
