"""One check on one backend: its status, and the report of a failure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from statistics import median

from lstm_parity.backends import Capabilities

from .check import Check
from .counterexamples.script import write_counterexample
from .hints.hints import hints
from .program import DisagreementError, Executor, FailureLocation, locate
from .results import CheckResult, Options, Status
from .search import Search, search


def run_check(check: Check, backend: str, executor: Executor, promises: Capabilities, options: Options) -> CheckResult:
    """Run one check on a backend with these promises."""
    skipped = check.why_skipped(promises)
    if skipped is not None:
        return CheckResult(check.name, "SKIP", skipped)
    known = options.known.get(check.name)
    found = search(
        check,
        executor,
        promises,
        examples=check.examples(options.examples),
        seed_value=zlib.crc32(f"{options.seed} {check.name}".encode()),
        shrink=options.shrink and known is None,
        database=None if options.database is None else options.database / _folder_name(backend) / check.name,
        file_weights=options.file_weights,
    )
    bits = median(found.bits) if found.bits else None

    def result(status: Status, reason: str, counterexample: str | None = None, hints: Sequence[str] = ()) -> CheckResult:
        hung = found.failure is not None and found.failure.kind == "hung"
        return CheckResult(check.name, status, reason, found.examples, counterexample, tuple(hints), bits, hung)

    if found.failure is None:
        if found.examples == 0:
            operands = ", ".join(found.insensitive) or "anything"
            return result("UNVERIFIED", found.too_slow or f"no drawn problem could show an error in {operands}")
        if known is not None:
            return result("FAIL", f"listed as a known failure ({known}), but it passes: remove it from the list")
        return result("PASS", "")
    if known is not None:
        return result("KNOWN", known)
    return result("FAIL", *_explained(check, backend, executor, promises, found, options))


def _explained(
    check: Check, backend: str, executor: Executor, promises: Capabilities, found: Search, options: Options
) -> tuple[str, str | None, list[str]]:
    """The reason in one line, the counterexample's file, and hints."""
    failure, first = found.failure, found.first_failure
    assert failure is not None
    assert first is not None
    where = find_location(failure, promises.activation_ulps)
    texts = hints(failure, first, where, executor, promises.activation_ulps)
    path = None
    if options.folder is not None and failure.runs:
        path = options.folder / f"counterexample-{check.name}.py"
        try:
            write_counterexample(path, check, backend, failure, where, texts)
        except OSError as error:
            texts = [*texts, f"the script {path} could not be written: {error.strerror or error}"]
            path = None
    return describe_failure(failure, where), None if path is None else path.name, texts


def find_location(failure: DisagreementError, activation_ulps: float) -> FailureLocation | None:
    """Where the equations contradict a result; else the element that the failure is about; None where there is none."""
    found = locate(failure, activation_ulps)
    if found is not None or failure.spot is None:
        return found
    return FailureLocation(len(failure.runs) - 1, len(failure.runs[-1].problems) - 1, failure.spot)


def describe_failure(failure: DisagreementError, where: FailureLocation | None) -> str:
    """The smallest problem and its error, in one line."""
    reason = failure.reason
    if where is not None and failure.spot is None:
        reason += f"; by the equations {where.spot}"
    if not failure.runs:
        return reason
    program, call = (len(failure.runs) - 1, 0) if where is None else (where.program, where.call)
    return f"{failure.runs[program].problems[call].describe()}: {reason}"


def _folder_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-") or "backend"
