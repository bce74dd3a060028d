"""All checks on one backend, several in parallel, and the verdict.

Each judging process runs one check after another, and has its own process for the backend (isolation/remote.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from ..machine.host import cpu_count
from ..worker.spawn import end, spawn
from .check import Check
from .checks import CHECKS
from .isolation.remote import NotThereError, RemoteExecutor
from .program import BackendFaultError
from .results import BackendResult, CheckResult, Options, Verdict, verdict_of
from .suite import run_check

MAX_HANGS = 2
"""After this many checks in which the backend hung, no further check is started."""

MAX_JUDGES = 4
"""Each has a second process for the backend, so more would overload the machine."""


def verify_backend(
    backend: str, checks: Sequence[Check], options: Options, on_result: Callable[[CheckResult], None] = lambda _: None
) -> BackendResult:
    """Run the checks on the backend of that name, in separate processes."""

    def all_are(verdict: Verdict, reason: str) -> BackendResult:
        return BackendResult(backend, verdict, reason, {}, tuple(CheckResult(c.name, verdict, reason) for c in checks))

    executor = RemoteExecutor(backend, options.threads, options.timeout_s)
    try:
        promises = executor.describe().capabilities
    except NotThereError as error:
        return all_are("UNVERIFIED", str(error))
    except BackendFaultError as error:
        return all_are("FAIL", error.reason)
    finally:
        executor.close()

    found: dict[str, CheckResult] = {}

    def add(result: CheckResult) -> None:
        found[result.check] = result
        on_result(result)

    for check in checks:
        if skipped := check.why_skipped(promises):
            add(CheckResult(check.name, "SKIP", skipped))
    to_run = [check for check in checks if check.name not in found]
    stop, hangs, interrupted = "", 0, False
    try:
        with _Judges(backend, options, len(to_run)) as judges:
            first = [check for check in to_run if check.name == "form"]
            for result in judges.results(first):
                add(result)
                if result.status == "FAIL":
                    stop = "not run, since form failed"
            if not stop:
                for result in judges.results([check for check in to_run if check not in first]):
                    add(result)
                    hangs += result.hung
                    if hangs >= MAX_HANGS:
                        stop = f"not run, since {MAX_HANGS} checks hung"
                        break
    except KeyboardInterrupt:
        stop, interrupted = "not run, since interrupted", True
    results = tuple(found.get(c.name) or CheckResult(c.name, "UNVERIFIED", stop) for c in checks)
    bits = {r.check.removeprefix("precision-"): r.bits for r in results if r.bits is not None}
    return BackendResult(backend, verdict_of(results), "", bits, results, interrupted)


class _Judges:
    """Judging processes for one backend; a context manager that ends them."""

    def __init__(self, backend: str, options: Options, checks: int) -> None:
        count = max(1, min(cpu_count(), MAX_JUDGES, checks))
        # one thread each: their matrices are small, and they run in parallel
        self.running = [spawn(_judge, 1, backend, options) for _ in range(count)]

    def __enter__(self) -> _Judges:
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self.running:
            pipe.close()
            end(process)

    def results(self, checks: Sequence[Check]) -> Iterator[CheckResult]:
        """The result of each check, in the order in which they finish. To stop early, close the iterator."""
        left = list(checks)[::-1]
        running: dict[Connection, Check] = {}
        idle = [pipe for _, pipe in self.running]
        while left or running:
            while idle and left:
                pipe = idle.pop()
                running[pipe] = left.pop()
                pipe.send(running[pipe].name)
            if not running:
                yield from (_lost(check) for check in reversed(left))
                return
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                check = running.pop(ready)
                try:
                    yield ready.recv()
                    idle.append(ready)
                except (EOFError, OSError):
                    yield _lost(check)


def _lost(check: Check) -> CheckResult:
    return CheckResult(check.name, "UNVERIFIED", "its judging process was ended from outside")


def _judge(pipe: Connection, backend: str, options: Options) -> None:
    """Run the checks whose names are received, until the pipe closes."""
    by_name = {check.name: check for check in CHECKS}
    executor = RemoteExecutor(backend, options.threads, options.timeout_s)
    promises: Any = None
    try:
        while True:
            name = pipe.recv()
            if promises is None:
                try:
                    promises = executor.describe().capabilities
                except (NotThereError, BackendFaultError) as error:  # which the parent process could import
                    reason = f"it could be imported once and then not again: {error}"
                    pipe.send(CheckResult(name, "FAIL", reason))
                    continue
            pipe.send(run_check(by_name[name], backend, executor, promises, options))
    except (EOFError, OSError):
        executor.close()
