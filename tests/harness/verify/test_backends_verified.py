"""The suite on the project's own backends, at a depth that fits every test run; `tox -e verify` goes deeper."""

import numpy as np
import pytest

from backends import UnavailableError, load_backend
from harness.verify.checks import CHECKS
from harness.verify.checks.closed_forms import holding
from harness.verify.checks.lecture import LONG_PERIOD
from harness.verify.local import LocalExecutor
from harness.verify.regimes import draw_problem
from harness.verify.strategies import Wish
from harness.verify.suite import Options, run_check
from harness.verify.trial import Trial

EXAMPLES = 5


def backend_of(name):
    try:
        backend = load_backend(name)
    except UnavailableError as error:
        pytest.skip(f"UNVERIFIED: {error}")
    if unavailable := backend.unavailable():
        pytest.skip(f"UNVERIFIED: {unavailable}")
    return backend


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", ["numpy", "torch-cpu", pytest.param("torch-cudnn", marks=pytest.mark.gpu)])
def test_verified(name, check):
    backend = backend_of(name)
    found = run_check(check, name, LocalExecutor(backend), backend.capabilities, Options(examples=EXAMPLES, shrink=False))
    if found.status == "SKIP":
        pytest.skip(found.reason)
    assert found.status == "PASS", found.reason


@pytest.mark.parametrize("precision", ["float64", "float32", "tf32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["numpy", "torch-cpu"])
def test_own_backends_hold_c_unchanged(name, precision):
    """Not within a bound, as every backend must: exactly."""
    from backends import LSTMSpec

    backend = backend_of(name)
    problem = holding(draw_problem(LSTMSpec(1, 2, precision=precision), LONG_PERIOD, 1, 0))
    trial = Trial(None, LocalExecutor(backend), backend.capabilities, Wish())
    assert trial.run(problem).c_n.tobytes() == np.ascontiguousarray(problem.inputs.state.c).tobytes()
