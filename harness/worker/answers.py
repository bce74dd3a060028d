"""Reading what a worker answers: plain data, whatever the worker would rather have the parent do.

An answer is a pickle, and to unpickle one is to call what it names. A backend shares its process with what writes the answers,
so the parent calls nothing but dataclasses of this project, NumPy's arrays and numbers, and Python's plain containers. What is
read must be what was asked for, down to every field: the parent goes on to reckon with it.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import repeat
from math import isfinite
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from .messages import Failure
from .public_names import PACKAGE, by_public_name

LARGEST = 2**63
"""Whole numbers below this can be stored."""
_CONTAINERS = {"frozenset", "set", "bytearray", "complex"}
_OF_ARRAYS = {"_reconstruct", "scalar", "_frombuffer"}
"""What NumPy's arrays and numbers name in a pickle to be made anew."""


def read_answer(pickled: bytes, expected: type) -> Any:
    """The answer, of the expected type or a Failure.

    Raises pickle.UnpicklingError for one that names anything else than plain data, or is of another type in any part.
    """
    answer = _Unpickler(io.BytesIO(pickled)).load()
    kind = Failure if isinstance(answer, Failure) else expected
    if why := _misfit(answer, kind):
        raise pickle.UnpicklingError(why)
    return answer


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    found = get_type_hints(kind)
    return {field.name: found[field.name] for field in fields(kind)}


def _misfit(value: Any, hint: Any) -> str:
    """In which part a value is not of its type; "" where it is. A number is finite."""
    if is_dataclass(hint):
        if type(value) is not hint:
            return f"a {type(value).__name__} in place of a {hint.__name__}"  # type: ignore[union-attr]
        parts = ((name, getattr(value, name, None), kind) for name, kind in _hints(hint).items())  # type: ignore[arg-type]
        return next((f"{name}: {why}" for name, part, kind in parts if (why := _misfit(part, kind))), "")
    origin, arguments = get_origin(hint), get_args(hint)
    if hasattr(origin, "__value__"):  # a name for a type, as NumPy has for its arrays from Python 3.12 on
        return _misfit(value, origin.__value__)
    if origin in (Union, UnionType):
        found = [_misfit(value, kind) for kind in arguments]
        return "" if "" in found else found[0]
    if origin is Literal:
        return "" if value in arguments else f"{value!r}"
    if origin in (tuple, list):
        if type(value) is not origin:
            return f"a {type(value).__name__} in place of a {origin.__name__}"
        kinds = repeat(arguments[0]) if arguments[1:] in ((), (Ellipsis,)) else arguments
        return next((why for part, kind in zip(value, kinds, strict=False) if (why := _misfit(part, kind))), "")
    if hint is float:
        right = isinstance(value, (int, float)) and type(value) is not bool and isfinite(value)
        return "" if right else f"{_short(value)} in place of a number"
    if hint is int:
        right = type(value) is int and abs(value) < LARGEST
        return "" if right else f"{_short(value)} in place of a whole number"
    kind = object if hint is Any else origin or hint
    right = not isinstance(kind, type) or isinstance(value, kind)
    return "" if right else f"a {type(value).__name__} in place of a {kind.__name__}"


def _short(value: Any) -> str:
    return f"{value!r:.40}"


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """See pickle.Unpickler."""
        module, name = by_public_name(module, name)
        package = module.partition(".")[0]
        if package in ("lstm_parity", "numpy", "ml_dtypes") or (package == "builtins" and name in _CONTAINERS):
            found = super().find_class(module, name)
            of_arrays = found in (np.ndarray, np.dtype) or (package == "numpy" and name in _OF_ARRAYS)
            ours = (
                isinstance(found, type)
                and module in (found.__module__, PACKAGE)
                and (is_dataclass(found) or issubclass(found, np.generic))
            )
            if package == "builtins" or of_arrays or ours:
                return found
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no plain data")
