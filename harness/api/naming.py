"""The name under which a worker process finds a backend class."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from lstm_parity.backends import LSTMBackend
from lstm_parity.backends.registry import BUILT_IN

from ..errors import CallError
from ..worker import by_value

Backend = str | type[LSTMBackend]
"""A backend class, or a name as on the command line."""


def names_of(backends: Sequence[Backend]) -> tuple[str, ...]:
    """The names, each once. Raises CallError for what is no backend, and for two classes that would have one name."""
    found: dict[str, Backend] = {}
    for backend in backends:
        name = name_of(backend)
        if found.setdefault(name, backend) is not backend and name.startswith(by_value.PREFIX):
            raise CallError(f"two backend classes are called {name}; rename one of them")
    return tuple(found)


def name_of(backend: Backend) -> str:
    """The name of a backend in results, which is one that the command line takes wherever a worker can import the class.

    In this order: the registered name, `module:Class`, `path/to/file.py:Class` for a module that is not on the search path, and
    `__main__:Class` for a class that is sent by value: one of the main module, of a function or of a class.

    Raises CallError for what is no class, and where cloudpickle is needed and missing.
    """
    if isinstance(backend, str):
        return backend
    if not isinstance(backend, type):
        raise CallError(f"{backend!r:.60} is no backend; give a subclass of lstm_parity.LSTMBackend or a name")
    if not issubclass(backend, LSTMBackend):
        raise CallError(f"{backend.__name__} is not a subclass of lstm_parity.LSTMBackend")
    module = sys.modules.get(backend.__module__)
    if module is None or module.__name__ == "__main__" or getattr(module, backend.__qualname__, None) is not backend:
        return _send_by_value(backend, module)
    if _is_found(module):
        name = f"{module.__name__}:{backend.__name__}"
        return next((registered for registered, entry in BUILT_IN.items() if entry.target == name), name)
    if (file := _file_of(module)) is not None:
        here = Path.cwd()
        return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{backend.__name__}"
    return _send_by_value(backend, module)


def _is_found(module: ModuleType) -> bool:
    """Whether an import of the module's name in a new process with this search path gives this module."""
    path: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.__name__.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        specs = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((found for found in specs if found is not None), None)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    file = _file_of(module)
    return spec is not None and spec.origin is not None and file is not None and Path(spec.origin).resolve() == file.resolve()


def _file_of(module: ModuleType) -> Path | None:
    """The module's source; None where it has none, as in an extension or one that was made at run time."""
    file = getattr(module, "__file__", None)
    return Path(file).absolute() if file is not None and file.endswith(".py") else None


def _send_by_value(backend: type[LSTMBackend], module: ModuleType | None) -> str:
    name = backend.__name__
    try:
        import cloudpickle
    except ImportError:
        raise CallError(
            f"{name}: a worker process cannot import this class; move it to a file, or pip install cloudpickle"
        ) from None
    importable = module is None or module.__name__ == "__main__" or _is_found(module)
    if not importable:
        cloudpickle.register_pickle_by_value(module)
    try:
        pickled: bytes = cloudpickle.dumps(backend)
    except Exception as error:  # whatever the class refers to may refuse
        raise CallError(
            f"{name} cannot be sent to a worker process ({type(error).__name__}: {error}); move it to a file"
        ) from error
    finally:
        if not importable:
            cloudpickle.unregister_pickle_by_value(module)
    by_value.add_class(by_value.PREFIX + name, pickled)
    return by_value.PREFIX + name
