"""What a mutant is, and how a class becomes one: a decorator takes its name and its description from the class itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lstm_parity.backends import Capabilities

from .subject import EVERYTHING, Subject


@dataclass(frozen=True)
class Mutant:
    """A backend whose verdict is known beforehand.

    name: in kebab-case, unique. family: see numerics, "The suite's own score"; "right" for those that must not be flagged.
    what: one line. after: the real defect it is named after, "project number", or "".
    """

    name: str
    family: str
    what: str
    backend: type[Subject]
    after: str = ""


WRONG: list[Mutant] = []
RIGHT: list[Mutant] = []

Class = TypeVar("Class", bound=type[Subject])


def wrong(
    family: str, *, precisions: tuple[str, ...] = ("float32",), also: tuple[str, ...] = (), after: str = "", **promises: Any
) -> Callable[[Class], Class]:
    """Enter the class as wrong, promising no more than its fault needs: one layer, one direction, float32, and `promises`.

    also: precisions in which it is another mutant, each by itself; in the class's module, under its name and the precision's.
    """

    def enter(cls: Class) -> Class:
        _enter(WRONG, cls, family, after, Capabilities(precisions=frozenset(precisions), **promises))
        for precision in also:
            name = cls.__name__ + precision.capitalize()
            body = {"__doc__": _what(cls).removesuffix(".") + f", in {precision}.", "__module__": cls.__module__}
            other: Class = type(name, (cls,), body)  # type: ignore[assignment]
            setattr(sys.modules[cls.__module__], name, other)  # where loading by name and unpickling look for it
            _enter(WRONG, other, family, after, Capabilities(precisions=frozenset({precision}), **promises))
        return cls

    return enter


def right(**promises: Any) -> Callable[[Class], Class]:
    """Enter the class as right, promising everything but for `promises`."""

    def enter(cls: Class) -> Class:
        _enter(RIGHT, cls, "right", "", Capabilities(**(EVERYTHING | promises)))
        return cls

    return enter


def _enter(into: list[Mutant], cls: type[Subject], family: str, after: str, capabilities: Capabilities) -> None:
    cls.capabilities = capabilities
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?<!loat)(?<!Tf)(?=\d)", "-", cls.__name__).lower()
    into.append(Mutant(name, family, _what(cls), cls, after))


def _what(cls: type[Subject]) -> str:
    assert cls.__doc__, f"{cls.__name__} does not say what is wrong with it"
    return cls.__doc__.strip().splitlines()[0]
