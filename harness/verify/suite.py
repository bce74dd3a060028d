"""One check on one backend: its status, and what is said of a failure; and the verdict over all."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from lstm_parity.backends import Capabilities, LSTMWeights

from .check import Check
from .counterexamples.script import write_counterexample
from .hints.hints import hints
from .search import Search, search
from .trial import DisagreementError, Executor, FailureLocation, locate

Status = Literal["PASS", "FAIL", "SKIP", "KNOWN", "UNVERIFIED"]
Verdict = Literal["PASS", "FAIL", "UNVERIFIED"]

DEFAULT_EXAMPLES = 20
DEFAULT_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class CheckResult:
    """What became of one check.

    examples: drawn problems that could have shown an error. counterexample: a file's name. bits: what the precision audit read.
    hung: the backend did not answer in time.
    """

    check: str
    status: Status
    reason: str = ""
    examples: int = 0
    counterexample: str | None = None
    hints: tuple[str, ...] = ()
    bits: float | None = None
    hung: bool = False


@dataclass(frozen=True)
class BackendResult:
    """The verdict on one backend. reason: why nothing was run, "" where something was. interrupted: by Ctrl-C."""

    backend: str
    verdict: Verdict
    reason: str
    effective_bits: dict[str, float]
    checks: tuple[CheckResult, ...]
    interrupted: bool = False


@dataclass(frozen=True)
class Options:
    """How to look. known: reasons by the name of the check. folder: where counterexamples go; None: they are not written."""

    examples: int = DEFAULT_EXAMPLES
    seed: int = 0
    timeout_s: float = DEFAULT_TIMEOUT_S
    threads: int = 1
    file_weights: LSTMWeights | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    database: Path | None = None
    shrink: bool = True


def verdict_of(results: Sequence[CheckResult]) -> Verdict:
    """FAIL if any check is FAIL; else UNVERIFIED if any is UNVERIFIED or none ran; else PASS."""
    found = {result.status for result in results}
    if "FAIL" in found:
        return "FAIL"
    return "UNVERIFIED" if "UNVERIFIED" in found or found <= {"SKIP"} else "PASS"


def run_check(check: Check, backend: str, executor: Executor, promises: Capabilities, options: Options) -> CheckResult:
    """One check on a backend that promises this."""
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
        database=None if options.database is None else options.database / _slug(backend) / check.name,
        file_weights=options.file_weights,
    )
    bits = median(found.bits) if found.bits else None

    def result(status: Status, reason: str, counterexample: str | None = None, hints: Sequence[str] = ()) -> CheckResult:
        hung = found.failure is not None and found.failure.kind == "hung"
        return CheckResult(check.name, status, reason, found.examples, counterexample, tuple(hints), bits, hung)

    if found.failure is None:
        if found.examples == 0:
            return result("UNVERIFIED", found.too_slow or _blindness(found))
        if known is not None:
            return result("FAIL", f"listed as a known failure ({known}), but it holds: take it off the list")
        return result("PASS", "")
    if known is not None:
        return result("KNOWN", known)
    return result("FAIL", *_explained(check, backend, executor, promises, found, options.folder))


def _blindness(found: Search) -> str:
    operands = ", ".join(found.blind) or "anything"
    return f"no drawn problem could show an error in {operands}"


def _explained(
    check: Check, backend: str, executor: Executor, promises: Capabilities, found: Search, folder: Path | None
) -> tuple[str, str | None, list[str]]:
    """The reason in one line, the counterexample's file, and hints."""
    failure, first = found.failure, found.first_failure
    assert failure is not None
    assert first is not None
    finding = _finding(failure, promises)
    where = describe_failure(failure, finding)
    suspects = hints(failure, first, finding, executor, promises.activation_ulps)
    path = None
    if folder is not None and failure.runs:
        path = folder / f"counterexample-{check.name}.py"
        write_counterexample(path, check.name, check.claim, backend, failure, finding, suspects)
    return where, None if path is None else path.name, suspects


def _finding(failure: DisagreementError, promises: Capabilities) -> FailureLocation | None:
    found = locate(failure, promises.activation_ulps)
    if found is not None or failure.spot is None:
        return found
    last = len(failure.runs) - 1
    return FailureLocation(last, len(failure.runs[last].problems) - 1, failure.spot)


def describe_failure(failure: DisagreementError, finding: FailureLocation | None) -> str:
    """The smallest problem and what is off there, in one line."""
    reason = failure.reason
    if finding is not None and failure.spot is None:
        reason += f"; by the equations {finding.spot}"
    if not failure.runs:
        return reason
    program, call = (len(failure.runs) - 1, 0) if finding is None else (finding.program, finding.call)
    return f"{failure.runs[program].problems[call].describe()}: {reason}"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-") or "backend"
