"""Starting a child process that does not outlive the command, and winding up after Ctrl-C."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from ..machine.host import worker_environment


def spawn(target: Callable[..., None], threads: int, *arguments: Any, daemon: bool = True) -> tuple[SpawnProcess, Connection]:
    """Run target(pipe, *arguments) in a new process with that many threads; returns it and the other end of its pipe.

    daemon: it ends with this one, and may start no process itself. Never forked: a child must not inherit the parent's threads
    and libraries. Ctrl-C does not reach it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=daemon)
    try:
        with worker_environment(threads), _deaf_to_interrupts():
            process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started within never see Ctrl-C, not even while Python starts in them; the parent sees it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its own start would let Ctrl-C through again
    with _interrupts_later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """A Ctrl-C that comes within is handled at the end: a process that is half started would print a traceback.

    That this thread blocks the signal is not enough, since any other may receive it, and Python handles it in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[Any, ...]] = []
    before = signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if came and callable(before):
            before(*came[0])


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
