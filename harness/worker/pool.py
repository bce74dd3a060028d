"""One function over many items, in as many worker processes as there are cores; Ctrl-C ends them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from subprocess import Popen
from typing import Any, TypeVar, cast

from ..machine.host import cpu_count
from .spawn import end, spawn

Item = TypeVar("Item")
Result = TypeVar("Result")

HEARTBEAT_S = 5.0
"""Seconds after which `run_in_parallel` calls `waiting`, if no result has come."""


def run_in_parallel(
    function: Callable[[Item], Result], items: Iterable[Item], waiting: Callable[[], None] = lambda: None
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) as they finish, in any order. An item is taken from the iterator when a worker is free.

    function: importable by name; runs in a process with one thread, which Ctrl-C does not reach. The workers end with the
    iterator, however that ends. waiting: called after each HEARTBEAT_S without a result.

    Raises what the function raises; RuntimeError, naming the item, if a worker ends.
    """
    workers: list[tuple[Popen[bytes], Connection]] = []
    busy: dict[Connection, Item] = {}
    todo = iter(items)

    def give(pipe: Connection) -> None:
        for item in todo:
            busy[pipe] = item
            pipe.send(item)
            return

    try:
        for _ in range(cpu_count()):
            workers.append(spawn(_serve, 1, function))
            give(workers[-1][1])
        while busy:
            ready = cast(list[Connection], wait(list(busy), HEARTBEAT_S))
            if not ready:
                waiting()
            for pipe in ready:
                item = busy.pop(pipe)
                try:
                    result, error = pipe.recv()
                except (EOFError, OSError):
                    raise RuntimeError(f"the worker process ended while it tried {item!r}") from None
                if error is not None:
                    raise error
                give(pipe)
                yield item, result
    finally:
        for process, _ in workers:  # before a pipe is closed: a worker that cannot answer would print a traceback
            process.kill()
        for process, pipe in workers:
            end(process)
            pipe.close()


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """In the worker: answers each item with (result, None) or (None, error), until the pipe is closed."""
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[Any, Exception | None] = (function(item), None)
        except Exception as error:
            answer = (None, error)
        pipe.send(answer)
