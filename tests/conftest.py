"""What every test of a backend by the property suite does, wherever the backend runs."""

import signal

import pytest

from lstm_parity.backends import UnavailableError, load_backend
from lstm_parity.harness.verify.isolation import steady
from lstm_parity.harness.verify.results import Options
from lstm_parity.harness.verify.suite import run_check

EXAMPLES, CALLS = 5, 500
"""Fewer calls of `memory-steady`: what Python asks for now and then, a few KiB, looks like a leak of 100 bytes a call."""


def pytest_configure():
    # A shell that starts the tests in the background lets them, and what they start, ignore Ctrl-C, which some of them send.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=20, help="how often a sweep is killed at a random moment (default: 20)")


@pytest.fixture(scope="session")
def backend_of():
    """The class of a backend by name; skips the test where it cannot run."""

    def found(name):
        try:
            backend = load_backend(name)
        except UnavailableError as error:
            pytest.skip(f"UNVERIFIED: {error}")
        if unavailable := backend.unavailable():
            pytest.skip(f"UNVERIFIED: {unavailable}")
        return backend

    return found


@pytest.fixture(scope="session")
def holds():
    """Asserts that a check finds nothing, at a depth that fits every test run; skips what is not promised."""

    def look(check, name, executor, promises, examples=EXAMPLES):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(steady, "CALLS", CALLS)
            found = run_check(check, name, executor, promises, Options(examples=examples, shrink=False))
        if found.status == "SKIP":
            pytest.skip(found.reason)
        assert found.status == "PASS", found.reason

    return look
