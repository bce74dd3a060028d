"""What a worker can be asked and can answer: pickled data over a pipe.

Each message names the type of its answer. A worker that cannot do what it is asked answers with a Failure; one that has ended
answers nothing, which the parent sees as a closed pipe.

A worker of `duel NAME@REVISION` has another revision of the package `backends` than its parent. The public names are the same
in both, the modules that define them need not be, so each end looks the classes of that package up by their public names.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import repeat
from math import isfinite
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from lstm_parity import backends
from lstm_parity.backends import Capabilities

MAX_INT = 2**63 - 1
"""The largest integer that a store can hold."""

Answer = Any
"""The answer to a message: of the type that the message names, or a Failure."""


@dataclass(frozen=True)
class Description:
    """What a backend is."""

    capabilities: Capabilities
    unavailable: str | None
    """Why it cannot run here, None if it can."""


@dataclass(frozen=True)
class Describe:
    """Load the backend class."""

    answer: ClassVar[type] = Description


@dataclass(frozen=True)
class Failure:
    """Why a worker has no answer."""

    kind: Literal["unsupported", "unavailable", "out_of_memory", "not_found", "wrong", "crashed"]
    reason: str


def read_message(pickled: bytes) -> Any:
    """A message, in the worker."""
    return _Unpickler(io.BytesIO(pickled)).load()


def read_answer(pickled: bytes, expected: type) -> Any:
    """The answer, of the expected type or a Failure, in the parent.

    Raises pickle.UnpicklingError where a field, at any depth, has another type than its dataclass says, or is no finite number:
    the parent computes with it.
    """
    answer = _Unpickler(io.BytesIO(pickled)).load()
    kind = Failure if isinstance(answer, Failure) else expected
    if why := _mismatch(answer, kind):
        raise pickle.UnpicklingError(why)
    return answer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """See pickle.Unpickler."""
        if module.startswith(f"{backends.__name__}.") and name in backends.__all__:
            module = backends.__name__
        return super().find_class(module, name)


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    found = get_type_hints(kind)
    return {field.name: found[field.name] for field in fields(kind)}


def _mismatch(value: Any, hint: Any) -> str:
    """Which part of a value is not of its type, and what it is; "" if all are."""
    if is_dataclass(hint):
        if type(value) is not hint:
            return f"a {type(value).__name__} in place of a {hint.__name__}"  # type: ignore[union-attr]
        parts = ((name, getattr(value, name, None), kind) for name, kind in _hints(hint).items())  # type: ignore[arg-type]
        return next((f"{name}: {why}" for name, part, kind in parts if (why := _mismatch(part, kind))), "")
    origin, arguments = get_origin(hint), get_args(hint)
    if hasattr(origin, "__value__"):  # a name for a type, as NumPy has for its arrays from Python 3.12 on
        return _mismatch(value, origin.__value__)
    if origin in (Union, UnionType):
        found = [_mismatch(value, kind) for kind in arguments]
        return "" if "" in found else found[0]
    if origin is Literal:
        return "" if value in arguments else f"{value!r}"
    if origin in (tuple, list):
        if type(value) is not origin:
            return f"a {type(value).__name__} in place of a {origin.__name__}"
        kinds = repeat(arguments[0]) if arguments[1:] in ((), (Ellipsis,)) else arguments
        return next((why for part, kind in zip(value, kinds, strict=False) if (why := _mismatch(part, kind))), "")
    if hint is float:
        right = isinstance(value, (int, float)) and type(value) is not bool and isfinite(value)
        return "" if right else f"{_short(value)} in place of a number"
    if hint is int:
        right = type(value) is int and abs(value) <= MAX_INT
        return "" if right else f"{_short(value)} in place of a whole number"
    kind = object if hint is Any else origin or hint
    right = not isinstance(kind, type) or isinstance(value, kind)
    return "" if right else f"a {type(value).__name__} in place of a {kind.__name__}"


def _short(value: Any) -> str:
    return f"{value!r:.40}"
