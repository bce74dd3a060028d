"""The child process that holds one backend: it loads, opens, runs and times it, and answers the parent.

Nothing here decides anything: what a number means, and whether it is to be believed, is the parent's business.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import perf_counter  # bound before any backend is loaded, so that none can replace it
from typing import Any

from .inherit import die_with_parent, reset_peak_memory

LONGEST_REASON = 2000
"""Characters of an exception's text."""


def main(pipe: Connection, backend_name: str, output: str) -> None:
    """Answer messages until the pipe closes. Standard output and error go to the file `output`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    die_with_parent()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with suppress(OSError):  # the parent has it open; without a name it goes when both have gone, however they go
        Path(output).unlink()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    server = _Server(backend_name)
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            break
        answer = server.answer(message)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a backend may have closed or replaced it
                stream.flush()
        pipe.send(answer)
    os._exit(0)  # without the exit handlers of whatever the backend loaded


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _Server:
    """The backend of one worker and the cell that is open."""

    def __init__(self, backend_name: str) -> None:
        self._name = backend_name
        self._class: Any = None
        self._session: Any = None

    def answer(self, message: Any) -> Any:
        """Do what the message asks; a Failure where that raises."""
        from . import messages as m

        handlers: dict[type, Callable[[Any], Any]] = {
            m.Describe: self._describe,
            m.Open: self._open,
            m.Check: lambda x: self._session.check(x),
            m.Prepare: lambda x: self._session.prepare(x),
            m.Go: lambda _: self._session.go(),
            m.Fetch: lambda x: self._session.fetch(x),
            m.Memory: lambda _: self._session.memory(),
            m.Close: self._close,
        }
        try:
            return handlers[type(message)](message)
        except BaseException as error:  # SystemExit too: whatever a backend raises is an answer, not an end
            return _failure(error)

    def _describe(self, _: Any) -> Any:
        from backends import load_backend

        from .messages import Description

        self._class = load_backend(self._name)
        return Description(self._class.capabilities, self._class.unavailable())

    def _open(self, message: Any) -> Any:
        from .session import Session

        self._close(None)
        reset_peak_memory()
        if self._class is None:
            self._describe(None)
        self._session = Session(self._class, message, perf_counter)
        return self._session.opened

    def _close(self, _: Any) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()


def _failure(error: BaseException) -> Any:
    """The exception as a Failure; libraries' out-of-memory errors are known by name, since they must not be imported."""
    from backends import UnavailableError, UnsupportedError
    from backends.registry import BackendNotFoundError

    from .messages import Failure
    from .session import FormError

    try:
        text = " ".join(str(error).split())[:LONGEST_REASON]
    except Exception:  # a backend's own exception may not even have a text
        text = "(without a text)"
    if isinstance(error, UnsupportedError):
        return Failure("unsupported", text)
    if isinstance(error, UnavailableError):
        return Failure("unavailable", text)
    if isinstance(error, BackendNotFoundError):
        return Failure("not_found", text)
    if isinstance(error, FormError):
        return Failure("wrong", text)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text:
        return Failure("out_of_memory", f"{type(error).__name__}: {text}")
    return Failure("crashed", f"{type(error).__name__}: {text}{_where(error)}")


def _where(error: BaseException) -> str:
    """The innermost file and line of the traceback."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
