"""The suite on the project's own backends, at a depth that fits every test run; `tox -e verify` goes deeper.

Those that need a GPU: tests/gpu/test_property_suite.py.
"""

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.check import CheckRun
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.checks.closed_forms import preserving
from lstm_parity.harness.verify.checks.lecture import LONG_PERIOD
from lstm_parity.harness.verify.isolation.local import LocalExecutor

EXAMPLES = {
    "numpy": 3,
    "torch-cpu": 2,
    "lstm_parity.backends.cupy_raw.forced:PersistentEmulated": 1,
    "lstm_parity.backends.cupy_raw.forced:StepwiseEmulated": 1,
}
"""The emulated plans also have tests of their own."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", EXAMPLES)
def test_verified(name, check, backend_of, holds):
    backend = backend_of(name)
    holds(check, name, LocalExecutor(backend), backend.capabilities, EXAMPLES[name])


@pytest.mark.parametrize("precision", ["float64", "float32", "tf32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_own_backends_preserve_c_exactly(name, precision, backend_of):
    """Exactly, where every backend must preserve it within a bound."""
    backend = backend_of(name)
    problem = preserving(draw_problem(LSTMSpec(1, 2, precision=precision), LONG_PERIOD, 1, 0))
    run = CheckRun(LocalExecutor(backend), backend.capabilities)
    assert run.call(problem).c_n.tobytes() == np.ascontiguousarray(problem.inputs.state.c).tobytes()
