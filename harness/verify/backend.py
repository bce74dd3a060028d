"""All checks on one backend, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .check import Check
from .isolation.judges import Judges
from .isolation.remote import NotThereError, RemoteExecutor
from .suite import BackendResult, CheckResult, Options, Verdict, verdict_of
from .trial import BackendFaultError

HANGS = 2
"""After so many checks in which the backend hung, no further one is begun."""


def verify_backend(
    backend: str, checks: Sequence[Check], options: Options, on_result: Callable[[CheckResult], None] = lambda _: None
) -> BackendResult:
    """Run the checks on the backend of that name, in processes of its own."""

    def all_are(verdict: Verdict, reason: str) -> BackendResult:
        return BackendResult(backend, verdict, reason, {}, tuple(CheckResult(c.name, verdict, reason) for c in checks))

    executor = RemoteExecutor(backend, options.threads, options.timeout_s)
    try:
        promises = executor.describe().capabilities
    except NotThereError as error:
        return all_are("UNVERIFIED", str(error))
    except BackendFaultError as fault:
        return all_are("FAIL", fault.reason)
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
        with Judges(backend, options, len(to_run)) as judges:
            first = [check for check in to_run if check.name == "form"]
            for result in judges.results(first):
                add(result)
                if result.status == "FAIL":
                    stop = "not run, since form failed"
            if not stop:
                for result in judges.results([check for check in to_run if check not in first]):
                    add(result)
                    hangs += result.hung
                    if hangs >= HANGS:
                        stop = f"not run, since {HANGS} checks hung"
                        break
    except KeyboardInterrupt:
        stop, interrupted = "not run, since interrupted", True
    results = tuple(found.get(c.name) or CheckResult(c.name, "UNVERIFIED", stop) for c in checks)
    bits = {r.check.removeprefix("precision-"): r.bits for r in results if r.bits is not None}
    return BackendResult(backend, verdict_of(results), "", bits, results, interrupted)
