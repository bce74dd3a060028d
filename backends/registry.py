"""Which backends there are and where they live. Nothing is imported before it is asked for.

A backend is named by its registry name (`numpy`), by `module:Class`, or by `path/to/file.py:Class`. Installed packages add
names through the entry-point group `lstm_parity.backends`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from .interface import Capabilities, LSTMBackend, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTRY_POINT_GROUP = "lstm_parity.backends"


@dataclass(frozen=True)
class Entry:
    """Where a registered backend lives ("module:Class") and how to get what it needs."""

    target: str
    hint: str


BUILT_IN: Mapping[str, Entry] = {
    "cupy-raw": Entry(
        f"{__package__}.cupy_raw.backend:CuPyRawLSTM",
        "pip install 'lstm-parity[cupy13]' (or cupy12) on a machine with an NVIDIA GPU",
    ),
    "cupy-raw-emulated": Entry(
        f"{__package__}.cupy_raw.backend:EmulatedLSTM", "install a C++ compiler, or pip install ziglang"
    ),
    "numpy": Entry(f"{__package__}.numpy_lstm:NumpyLSTM", "pip install lstm-parity"),
    "torch-cpu": Entry(f"{__package__}.torch_lstm:TorchCPULSTM", "pip install 'lstm-parity[torch]'"),
    "torch-cudnn": Entry(
        f"{__package__}.torch_lstm:TorchCuDNNLSTM", "pip install 'lstm-parity[torch]' on a machine with an NVIDIA GPU"
    ),
}
"""The project's own backends, sorted by name."""


class BackendNotFoundError(LookupError):
    """No backend goes by that name; the message says how to name one."""


def _installed() -> dict[str, EntryPoint]:
    """The names that installed packages add. A built-in name cannot be taken."""
    return {e.name: e for e in entry_points(group=ENTRY_POINT_GROUP) if e.name not in BUILT_IN}


def backend_names() -> list[str]:
    """The registered names, sorted: built in and from installed packages."""
    return sorted({*BUILT_IN, *_installed()})


def backend_hint(name: str) -> str:
    """How to get what a registered backend needs; empty where the registry does not know."""
    return BUILT_IN[name].hint if name in BUILT_IN else ""


def load_backend(name: str) -> type[LSTMBackend]:
    """The backend class of that name: a registered one, `module:Class` or `path/to/file.py:Class`.

    Raises BackendNotFoundError for a name, file, module or class that does not exist; UnavailableError where an import it
    needs is missing on this machine; TypeError for a class that is no LSTMBackend. Whatever else an import raises is passed on
    as UnavailableError with the exception's type and text.
    """
    if name in BUILT_IN:
        return _checked(name, _from_target(BUILT_IN[name].target, BUILT_IN[name].hint))
    installed = _installed()
    if name in installed:
        return _checked(name, _from_target(installed[name].value, ""))
    if name.endswith(".py"):
        raise BackendNotFoundError(
            f"{name} is a file: say which class of it, {name}:CLASS; it defines {_classes(_import_file(Path(name)))}"
        )
    if ":" not in name:
        near = get_close_matches(name, [*BUILT_IN, *installed], n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        guess = "BACKEND@REVISION is for `lstm-parity duel`. " if "@" in name else guess
        raise BackendNotFoundError(
            f"unknown backend {name!r}: {guess}Known: {', '.join(backend_names())}; or module:Class, or path/to/file.py:Class"
        )
    return _checked(name, _from_target(name, ""))


def _from_target(target: str, hint: str) -> object:
    where, _, attribute = target.rpartition(":")
    module = _import_file(Path(where)) if where.endswith(".py") else _import_module(where, hint)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise BackendNotFoundError(f"{where} has no class {attribute!r}; it defines {_classes(module)}") from None


def _classes(module: ModuleType) -> str:
    """The names of the classes that a module defines, for a person."""
    names = [name for name, found in vars(module).items() if inspect.isclass(found) and found.__module__ == module.__name__]
    return ", ".join(names) or "no class"


def _import_module(where: str, hint: str) -> ModuleType:
    folder = str(Path.cwd())  # an installed command does not look there by itself
    sys.path.append(folder)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(error.name + ".")):
            raise BackendNotFoundError(f"no module named {error.name!r}") from None
        raise UnavailableError(f"{where} needs {error.name}, which is not installed", hint) from error
    except BaseException as error:  # SystemExit too: whatever a foreign module does on import must end in one line
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UnavailableError(f"{where} fails on import: {type(error).__name__}: {error}", hint) from error
    finally:
        sys.path.remove(folder)


def _import_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    name = f"lstm_parity_file_{path.stem}_{abs(hash(str(path))):x}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise BackendNotFoundError(f"no such file: {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # a backend file may import its neighbours, as a script may
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        del sys.modules[name]
        raise UnavailableError(f"{path.name} needs {error.name}, which is not installed") from error
    except BaseException as error:  # SystemExit too: a backend file must not end the harness
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UnavailableError(f"{path.name} fails on import: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _checked(name: str, found: object) -> type[LSTMBackend]:
    if not inspect.isclass(found) or not issubclass(found, LSTMBackend):
        raise TypeError(f"{name} is not a subclass of lstm_parity.LSTMBackend")
    if not isinstance(getattr(found, "capabilities", None), Capabilities):
        raise TypeError(f"{name} must set capabilities = Capabilities(...)")
    if found.__abstractmethods__:
        raise TypeError(f"{name} does not define {', '.join(sorted(found.__abstractmethods__))}")
    return found
