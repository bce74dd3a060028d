"""The child process that holds one backend: it answers the parent's messages until the pipe closes.

Nothing is judged here: what a number means, and whether it is believed, the parent decides. A subclass of `Server` adds the
messages that its parent sends. Its module is imported before the worker knows which `backends` to load, so that what it needs
beyond the standard library is imported in its handlers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lstm_parity

from . import by_value
from .spawn import adopt_orphans

if TYPE_CHECKING:
    from lstm_parity.backends import LSTMBackend

    from .messages import Answer, Describe, Description, Failure

BACKENDS = "lstm_parity.backends"
LAYOUTS = 256
"""Offsets that an array can have within a page of 4096 bytes: glibc's allocator gives multiples of 16."""
MIN_SHIFT_BYTES = 2**18
"""More than any gap between what Python has allocated before the worker begins."""
MAX_REASON = 2000
"""Characters of an exception's text."""


class Server:
    """The backend of one worker."""

    def __init__(self, backend_name: str) -> None:
        self._name = backend_name
        self._class: type[LSTMBackend] | None = None

    @property
    def backend_class(self) -> type[LSTMBackend]:
        """The backend's class, loaded when it is first asked for. Raises what lstm_parity.load_backend raises."""
        if self._class is None:
            from lstm_parity.backends import UnavailableError, load_backend

            try:
                by_value.define(self._name)
            except Exception as error:  # whatever the class refers to may be missing here
                raise UnavailableError(f"{self._name} cannot be loaded: {type(error).__name__}: {error}") from error
            self._class = load_backend(self._name)
        return self._class

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        """What answers each type of message; a subclass adds its own."""
        from .messages import Describe

        return {Describe: self._describe}

    def answer(self, message: Any) -> Answer:
        """Do what the message asks; a Failure where that raises."""
        handlers = self.handlers()
        try:
            return handlers[type(message)](message)
        except BaseException as error:  # SystemExit too: whatever a backend raises is an answer, not an end
            return _failure(error)

    def _describe(self, _: Describe) -> Description:
        from dataclasses import fields

        from lstm_parity.backends import Capabilities

        from .messages import Description

        promised, reason = self.backend_class.capabilities, self.backend_class.unavailable()
        plain = Capabilities(**{field.name: getattr(promised, field.name) for field in fields(Capabilities)})
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"unavailable() gave a {type(reason).__name__}, expected a text or None")
        return Description(plain, None if reason is None else "".join(reason))


def serve(pipe: Connection, server_class: type[Server], backend_name: str, module_path: tuple[str, ...], layout: int) -> None:
    """Answer messages until the pipe closes.

    module_path: put in front of sys.path. layout: the offset of arrays within a page, in units of 16 bytes.
    """
    held = _shift_heap(layout)
    adopt_orphans()
    sys.path[:0] = module_path
    _load_backends_from(module_path)
    server, process = server_class(backend_name), os.getpid()
    from .messages import read_message

    while True:
        try:
            message = read_message(pipe.recv_bytes())
        except (EOFError, OSError):
            break
        answer = server.answer(message)
        if os.getpid() != process:  # a copy of this process that a backend has forked and left
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a backend may have closed or replaced it
                stream.flush()
        pipe.send(answer)
    del held
    os._exit(0)  # without the exit handlers of whatever the backend loaded


def backends_package(checkout: str | Path) -> Path | None:
    """The folder `backends` of a checkout of this project, None in another project, which may have a package of that name."""
    package = Path(checkout, "backends")
    interface = package / "interface.py"
    ours = (package / "registry.py").is_file() and interface.is_file() and "class LSTMBackend" in interface.read_text("utf-8")
    return package if ours else None


def _load_backends_from(folders: tuple[str, ...]) -> None:
    """Load the folder `backends` of the first folder that has one as `lstm_parity.backends`, before anything imports that.

    In revisions in which the package was called `backends`, the registry's targets begin with that name.
    """
    package = next((found for folder in folders if (found := backends_package(folder)) is not None), None)
    if package is None:
        return
    init = package / "__init__.py"
    assert BACKENDS not in sys.modules, f"{BACKENDS} was imported before its folder was known"
    spec = spec_from_file_location(BACKENDS, init, submodule_search_locations=[str(package)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[BACKENDS] = lstm_parity.backends = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[BACKENDS])
    built_in = import_module(f"{BACKENDS}.registry").BUILT_IN
    for name, entry in built_in.items():
        if entry.target.startswith("backends."):
            built_in[name] = replace(entry, target=f"lstm_parity.{entry.target}")


def _shift_heap(layout: int) -> bytearray:
    """An allocation that shifts all later ones, as long as it is held, by `layout` times 16 bytes within a page.

    Without it, the addresses of arrays depend on what was imported before, and are the same in every process. On an AMD EPYC, a
    product with a 512 x 128 matrix takes 4% longer at an odd multiple of 16 bytes than at one of 32, so that identical code
    under two names differed by 3% in every round of a duel (Mytkowicz et al., ASPLOS 2009; Curtsinger and Berger, ASPLOS 2013).
    """
    return bytearray(MIN_SHIFT_BYTES + 16 * layout)


def _failure(error: BaseException) -> Failure:
    """The exception as a Failure; libraries' out-of-memory errors are known by name, since they must not be imported."""
    from lstm_parity.backends import UnavailableError, UnsupportedError
    from lstm_parity.backends.registry import BackendNotFoundError

    from .calls import FormError
    from .messages import Failure

    try:
        text = "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split()))[:MAX_REASON]
    except Exception:  # a backend's own exception may not even have a text
        text = "(without a text)"
    said = f": {text}" if text else ""
    if isinstance(error, UnsupportedError):
        return Failure("unsupported", text)
    if isinstance(error, UnavailableError):
        return Failure("unavailable", text)
    if isinstance(error, BackendNotFoundError):
        return Failure("not_found", text)
    if isinstance(error, FormError):
        return Failure("wrong", text)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text:
        return Failure("out_of_memory", f"{type(error).__name__}{said}")
    return Failure("crashed", f"{type(error).__name__}{said}{_where(error)}")


def _where(error: BaseException) -> str:
    """The innermost file and line of the traceback that are not this package's; "" where all are."""
    harness, backends = Path(__file__).parents[1], Path(__file__).parents[2] / "backends"
    found, trace = "", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        of_interface = path.parent == backends and not path.name.endswith("_lstm.py")
        if not of_interface and not path.is_relative_to(harness):
            found = f" ({path.name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return found
