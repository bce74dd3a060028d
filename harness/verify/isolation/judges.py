"""Several processes that judge one backend at the same time, a check each; each has a process of its own for the backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from ...machine.host import cpu_count
from ...worker.spawn import end, spawn
from ..check import Check
from ..suite import CheckResult, Options, run_check
from ..trial import BackendFaultError

MOST = 4
"""More would only load the machine: each has a second process beside it."""


class Judges:
    """Judging processes for one backend; a context manager that ends them."""

    def __init__(self, backend: str, options: Options, checks: int) -> None:
        count = max(1, min(cpu_count(), MOST, checks))
        # one thread each: their matrices are small, and there are several of them
        self.running = [spawn(_judge, 1, backend, options) for _ in range(count)]

    def __enter__(self) -> Judges:
        """Ready."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them, with the backends' processes."""
        for process, pipe in self.running:
            pipe.close()
            end(process)

    def results(self, checks: Sequence[Check]) -> Iterator[CheckResult]:
        """The result of each check, as they come. To leave off early, close the iterator."""
        left = list(checks)[::-1]
        asked: dict[Connection, Check] = {}
        idle = [pipe for _, pipe in self.running]
        while left or asked:
            while idle and left:
                pipe = idle.pop()
                asked[pipe] = left.pop()
                pipe.send(asked[pipe].name)
            if not asked:
                yield from (_lost(check) for check in reversed(left))
                return
            for ready in wait(list(asked)):
                assert isinstance(ready, Connection)
                check = asked.pop(ready)
                try:
                    yield ready.recv()
                    idle.append(ready)
                except (EOFError, OSError):
                    yield _lost(check)


def _lost(check: Check) -> CheckResult:
    return CheckResult(check.name, "UNVERIFIED", "the process that judged it was ended from outside")


def _judge(pipe: Connection, backend: str, options: Options) -> None:
    """Judge the checks whose names come in, until the pipe closes."""
    from ..checks import CHECKS
    from .remote import NotThereError, RemoteExecutor

    by_name = {check.name: check for check in CHECKS}
    executor = RemoteExecutor(backend, options.threads, options.timeout_s)
    promises: Any = None
    try:
        while True:
            name = pipe.recv()
            if promises is None:
                try:
                    promises = executor.describe().capabilities
                except (NotThereError, BackendFaultError) as error:  # the parent has seen it there
                    reason = f"imported once and then no more, expected the same each time: {error}"
                    pipe.send(CheckResult(name, "FAIL", reason))
                    continue
            pipe.send(run_check(by_name[name], backend, executor, promises, options))
    except (EOFError, OSError):
        executor.close()
