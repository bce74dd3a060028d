"""The property suite in your own tests: one line makes one test for each check.

from lstm_parity.testing import parity_tests

test_my_lstm = parity_tests(MyLSTM)
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from .backends import Capabilities
from .harness.api.naming import Backend, name_of
from .harness.api.verify import known_reasons
from .harness.errors import CallError
from .harness.verify.checks import CHECKS
from .harness.verify.isolation.remote import NotThereError, RemoteExecutor
from .harness.verify.program import BackendFaultError
from .harness.verify.results import DEFAULT_EXAMPLES, DEFAULT_TIMEOUT_S, Options
from .harness.verify.suite import run_check

__all__ = ["parity_tests"]


def parity_tests(
    backend: Backend,
    *,
    examples: int = DEFAULT_EXAMPLES,
    seed: int = 0,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    threads: int = 1,
    known_failures: Mapping[str, str] | None = None,
    counterexamples: Path | None = Path(),
) -> Callable[[str], None]:
    """A test function for pytest, with one parameter for each check.

    A check of something that is not promised is skipped. On a machine where the backend cannot run, every test is skipped, with
    a reason that begins with UNVERIFIED; a check that ran and could show nothing fails.

    Args:
        backend: a subclass of LSTMBackend, also one that is defined in the test module, or a name as on the command line.
        examples: drawn problems a check.
        seed: which problems are drawn.
        timeout_s: seconds that the backend may take to answer.
        threads: of the backend.
        known_failures: reasons by check; such a test is an expected failure.
        counterexamples: the folder for the scripts that show a failure; none are written if None.

    Raises:
        CallError: a known failure that is no check.
    """
    import pytest

    options = Options(examples, seed, timeout_s, threads, known=known_reasons(known_failures), folder=counterexamples)
    by_name = {check.name: check for check in CHECKS}

    @pytest.mark.parametrize("check", list(by_name))
    def test(check: str) -> None:
        try:
            name = name_of(backend)  # not before: a worker that imports this module to find the class has nothing to name
            executor, promises = _running(name, threads, timeout_s)
        except CallError as error:
            pytest.fail(str(error), pytrace=False)
        except NotThereError as error:
            pytest.skip(f"UNVERIFIED: {error}")
        except BackendFaultError as fault:
            pytest.fail(fault.reason, pytrace=False)
        result = run_check(by_name[check], name, executor, promises, options)
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
def _running(name: str, threads: int, timeout_s: float) -> tuple[RemoteExecutor, Capabilities]:
    """One process for all tests of a backend."""
    executor = RemoteExecutor(name, threads, timeout_s)
    atexit.register(executor.close)
    return executor, executor.describe().capabilities
