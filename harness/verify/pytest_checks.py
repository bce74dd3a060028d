"""The suite inside an outsider's own tests: one line gives one test for each check.

from lstm_parity.harness.verify.pytest_checks import parity_tests

test_my_lstm = parity_tests("my_lstm.py:MyLSTM")
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from lstm_parity.backends import Capabilities

from ..errors import CallError
from .checks import CHECKS
from .isolation.remote import NotThereError, RemoteExecutor
from .program import BackendFaultError
from .results import DEFAULT_EXAMPLES, DEFAULT_TIMEOUT_S, Options
from .suite import run_check


def parity_tests(
    backend: str,
    *,
    examples: int = DEFAULT_EXAMPLES,
    seed: int = 0,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    threads: int = 1,
    known_failures: Mapping[str, str] | None = None,
    counterexamples: Path | None = Path(),
) -> Callable[[str], None]:
    """A test function for pytest, with one parameter for each check.

    backend: a name as on the command line. known_failures: reasons by check; such a test is an expected failure.
    counterexamples: the folder for their files, None for none. A check of something that is not promised is skipped. On a
    machine where the backend cannot run, every test is skipped with a reason that begins with UNVERIFIED; a check that ran and
    could show nothing fails. Raises CallError for a known failure that is no check.
    """
    import pytest

    known = dict(known_failures or {})
    if unknown := known.keys() - {check.name for check in CHECKS}:
        raise CallError(f"known_failures: there is no check {min(unknown)!r}; `lstm-parity verify --list-checks` lists them")
    options = Options(examples, seed, timeout_s, threads, known=known, folder=counterexamples)
    by_name = {check.name: check for check in CHECKS}

    @pytest.mark.parametrize("check", list(by_name))
    def test(check: str) -> None:
        try:
            executor, promises = _running(backend, threads, timeout_s)
        except NotThereError as error:
            pytest.skip(f"UNVERIFIED: {error}")
        except BackendFaultError as fault:
            pytest.fail(fault.reason, pytrace=False)
        result = run_check(by_name[check], backend, executor, promises, options)
        hints = "".join(f"\nhint: {hint}" for hint in result.hints)
        file = f"\nrun it: python {result.counterexample}" if result.counterexample else ""
        match result.status:
            case "SKIP":
                pytest.skip(result.reason)
            case "KNOWN":
                pytest.xfail(result.reason)
            case "FAIL" | "UNVERIFIED":
                claim = by_name[check].claim
                pytest.fail(f"{result.status}: {claim}\n{result.reason}{hints}{file}\nseed {seed}", pytrace=False)

    return test


@cache
def _running(backend: str, threads: int, timeout_s: float) -> tuple[RemoteExecutor, Capabilities]:
    """One process for all tests of a backend."""
    executor = RemoteExecutor(backend, threads, timeout_s)
    atexit.register(executor.close)
    return executor, executor.describe().capabilities
