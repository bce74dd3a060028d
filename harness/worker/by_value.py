"""Backend classes that no other process can import: defined at a prompt, in a notebook, in a script or in a function.

Such a class is pickled by value (by cloudpickle) and sent to every child process that is started, also to those that a child
starts. There it is the attribute of `__main__` that its name says, so that `load_backend` finds it like any other.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Mapping

PREFIX = "__main__:"
"""The names of such backends begin so."""

_pickled: dict[str, bytes] = {}
"""Classes by name, which is PREFIX and the name of the class."""


def add_class(name: str, pickled: bytes) -> None:
    """Send this class with every child that is started from now on; another class that had the name is no longer sent."""
    _pickled[name] = pickled


def add_classes(classes: Mapping[str, bytes]) -> None:
    """`add_class` for all that the parent has sent."""
    _pickled.update(classes)


def classes() -> dict[str, bytes]:
    """The classes by name, pickled."""
    return dict(_pickled)


def digest(name: str) -> str:
    """SHA-256 of a class that was added."""
    return hashlib.sha256(_pickled[name]).hexdigest()


def define(name: str) -> None:
    """Make the class of that name an attribute of `__main__`; nothing is done for a name of another kind.

    Raises what the class's own imports raise.
    """
    if name in _pickled:
        setattr(sys.modules["__main__"], name.removeprefix(PREFIX), pickle.loads(_pickled[name]))
