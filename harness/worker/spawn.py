"""Starting a child process that ends with this one, and winding up after Ctrl-C.

A child is a new interpreter that imports one function by its name and calls it. It does not import the caller's main module, so
it can be started from a script without a `__main__` guard, from standard input, from a prompt and from a notebook.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import lstm_parity

from ..machine.host import worker_environment
from . import by_value

ENDING_S = 10.0
"""Seconds that a killed process may take to end."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def spawn(
    target: Callable[..., None], threads: int, *arguments: Any, output: int | None = None
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Run target(pipe, *arguments) in a new process with that many threads; returns it and the other end of its pipe.

    The target is imported by name, the arguments are pickled. The process is never forked, since a child must not inherit the
    parent's threads and libraries. It finds modules where this process finds them. It leads a process group of its own, so that
    Ctrl-C does not reach it and it can be signalled together with what it starts, and it ends when this process ends. output:
    the file descriptor that gets its standard output and error, this process's own where none is given. `end` ends it.
    """
    ours, theirs = Pipe()
    try:
        with worker_environment(threads):
            process = subprocess.Popen(
                [_executable(), *subprocess._args_from_interpreter_flags(), "-c", _start_code(theirs)],  # type: ignore[attr-defined]
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                **_inheriting(theirs),
            )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    with suppress(OSError):  # it has ended already, which whoever reads the pipe sees
        ours.send((by_value.classes(), target, arguments))
    return process, ours


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and wait until it has ended."""
    process.kill()
    assert process.stdin is not None
    process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDING_S)


def _executable() -> str:
    """The interpreter; on Windows not a virtual environment's launcher, which does not pass handles on."""
    return str(getattr(sys, "_base_executable", sys.executable)) if sys.platform == "win32" else sys.executable


def _inheriting(pipe: Connection) -> dict[str, Any]:
    """The arguments of Popen that give the child this end of a pipe, and a process group."""
    if sys.platform != "win32":
        return {"pass_fds": [pipe.fileno()], "process_group": 0}
    os.set_handle_inheritable(pipe.fileno(), True)
    return {
        "startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [pipe.fileno()]}),
        "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP,
        "env": os.environ | {"__PYVENV_LAUNCHER__": sys.executable},
    }


def _start_code(pipe: Connection) -> str:
    """What the child's interpreter carries out first."""
    assert lstm_parity.__file__ is not None
    home = str(Path(lstm_parity.__file__).parents[1])
    path = [entry for entry in sys.path if isinstance(entry, str)]
    path += [] if home in path else [home]  # the caller may have found it by a relative path and changed its folder since
    return f"import sys; sys.path[:] = {path!r}; from {__name__} import run_child; run_child({pipe.fileno()})"


def run_child(descriptor: int) -> None:
    """In the child: call the target that comes through the pipe with this file descriptor (on Windows: handle)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _end_with_parent()
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        pipe: Any = PipeConnection(descriptor)
    else:
        pipe = Connection(descriptor)
    try:
        classes, target, arguments = pipe.recv()
    except (EOFError, OSError):  # the parent was interrupted while it started this process
        return
    by_value.add_classes(classes)
    target(pipe, *arguments)


def _end_with_parent() -> None:
    """Be killed when the parent ends, however it ends; on Linux even while stopped.

    Standard input is a pipe that nothing is written to, and that the system closes when the parent has ended.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    from_parent, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        os.read(from_parent, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def adopt_orphans() -> None:
    """On Linux, be the parent of processes whose own has ended, so that their CPU time is this one's. Elsewhere: nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def interrupted_once(*, to_the_end: bool) -> Iterator[None]:
    """Within, the first Ctrl-C raises KeyboardInterrupt and later ones do nothing: winding up must not be cut short.

    to_the_end: the process ends afterwards, and later ones are not to cut that short either.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN or before is None:
        yield
        return

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        if not (to_the_end and signal.getsignal(signal.SIGINT) is signal.SIG_IGN):
            signal.signal(signal.SIGINT, before)
