"""Statuses, verdicts, and the options of a verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lstm_parity.backends import LSTMWeights

Status = Literal["PASS", "FAIL", "SKIP", "KNOWN", "UNVERIFIED"]
Verdict = Literal["PASS", "FAIL", "UNVERIFIED"]

DEFAULT_EXAMPLES = 20
DEFAULT_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class CheckResult:
    """The result of one check on one backend."""

    check: str
    status: Status
    reason: str = ""
    examples: int = 0
    """Drawn problems that could have shown an error."""
    counterexample: str | None = None
    """A file's name."""
    hints: tuple[str, ...] = ()
    bits: float | None = None
    """The effective bits that the precision audit measured."""
    hung: bool = False
    """The backend did not answer in time."""


@dataclass(frozen=True)
class BackendResult:
    """The verdict on one backend."""

    backend: str
    verdict: Verdict
    reason: str
    """Why nothing was run, "" where something was."""
    effective_bits: dict[str, float]
    checks: tuple[CheckResult, ...]
    interrupted: bool = False
    """By Ctrl-C."""


@dataclass(frozen=True)
class Options:
    """How to verify."""

    examples: int = DEFAULT_EXAMPLES
    """Drawn problems a check."""
    seed: int = 0
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Limit of one program, in seconds."""
    threads: int = 1
    """Of the backend."""
    file_weights: LSTMWeights | None = None
    """A model file's weights, one more regime of values."""
    known: Mapping[str, str] = field(default_factory=dict)
    """Reasons of known failures by check."""
    folder: Path | None = None
    """Where counterexamples are written; None: nowhere."""
    database: Path | None = None
    """Where Hypothesis keeps failing examples; None: nowhere."""
    shrink: bool = True


def verdict_of(results: Sequence[CheckResult]) -> Verdict:
    """FAIL if any check is FAIL; else UNVERIFIED if any is UNVERIFIED or none ran; else PASS."""
    found = {result.status for result in results}
    if "FAIL" in found:
        return "FAIL"
    return "UNVERIFIED" if "UNVERIFIED" in found or found <= {"SKIP"} else "PASS"
