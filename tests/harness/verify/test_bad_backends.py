"""Backends that an author may submit by mistake: each gets its verdict, and a line that says what was expected."""

import json

import pytest

from lstm_parity.backends import load_backend
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.isolation.remote import RemoteExecutor
from lstm_parity.harness.verify.program import BackendFaultError
from lstm_parity.harness.verify.results import DEFAULT_EXAMPLES, Options
from lstm_parity.harness.verify.search import search
from lstm_parity.harness.verify.suite import run_check

pytestmark = pytest.mark.deep

PREAMBLE = """\
import os, sys, time
import numpy as np
from lstm_parity import Capabilities, LSTMBackend, LSTMState, UnsupportedError
from lstm_parity.backends.numpy_lstm import NumpyLSTM

class Base(LSTMBackend):
    capabilities = Capabilities()
    def __init__(self, spec, weights):
        self.inner = NumpyLSTM(spec, weights)
    def forward(self, x, state, lengths=None, training=False):
        return self.changed(x, *self.inner.forward(x, state, lengths))
    def changed(self, x, y, state):
        return y, state
"""

CHANGED = {
    "Nothing": ("return None", "forward returned a NoneType, expected (y, LSTMState(h, c))"),
    "Triple": ("return y, state.h, state.c", "forward returned a tuple of 3, expected (y, LSTMState(h, c))"),
    "BatchFirst": ("return y.swapaxes(0, 1), state", "y is float32 of shape (2, 1, 1), expected float32 of shape (1, 2, 1)"),
    "NoCell": ("return y, LSTMState(state.h, None)", "c_n is a NoneType, expected what to_device gives, a ndarray"),
    "Raises": ("raise ValueError('first line\\nsecond')", "the backend raised ValueError: first line second"),
    "Exits": ("sys.exit(0)", "the backend raised SystemExit: 0"),
    "Quits": ("os._exit(0)", "the process exited with code 0, expected (y, LSTMState(h_n, c_n))"),
    "Crashes": ("os.abort()", "killed by SIGABRT, expected (y, LSTMState(h_n, c_n))"),
    "Hangs": ("time.sleep(1000)", "no result within 1 s"),
    "Refuses": ("raise UnsupportedError('B > 0')", "the backend refused what its capabilities promise: B > 0"),
    "Shouts": ("print('word ' * 1_000_000); raise RuntimeError('after many words')", "raised RuntimeError: after many words"),
}
"""What `changed` does instead, and the text that the author reads. B is the first size at which a shape can be wrong."""

CLASSES = {
    "FewerArguments": (
        "class FewerArguments(Base):\n    def forward(self, x, state): return self.inner.forward(x, state)",
        "forward() takes 3 positional arguments but 4 were given",
    ),
    "LengthsRefused": (
        """class LengthsRefused(Base):
    capabilities = Capabilities(lengths=True)
    def forward(self, x, state, lengths=None, training=False):
        if lengths is not None: raise NotImplementedError("no lengths yet")
        return self.inner.forward(x, state)""",
        "the backend raised NotImplementedError: no lengths yet",
    ),
    "NoCapabilities": (
        "class NoCapabilities(LSTMBackend):\n    def __init__(self, s, w): pass\n    def forward(self, *a): pass",
        "must set capabilities = Capabilities(...)",
    ),
    "NoForward": (
        "class NoForward(LSTMBackend):\n    capabilities = Capabilities()\n    def __init__(self, s, w): pass",
        "does not define forward",
    ),
    "Stranger": ("class Stranger:\n    capabilities = Capabilities()", "is not a subclass of lstm_parity.LSTMBackend"),
    "CloseFails": (
        "class CloseFails(Base):\n    def close(self): raise RuntimeError('freed already')",
        "the backend raised RuntimeError: freed already",
    ),
}

IMPORTS = {
    "raising.py": ("raise RuntimeError('no driver')", "raising.py fails on import: RuntimeError: no driver"),
    "exiting.py": ("import sys; sys.exit(3)", "exiting.py fails on import: SystemExit: 3"),
    "quitting.py": ("import os; os._exit(0)", "the process exited with code 0"),
    "missing.py": ("import no_such_library", "missing.py needs no_such_library, which is not installed"),
    "broken.py": ("class A(:", "broken.py fails on import: SyntaxError"),
    "empty.py": ("", "has no class 'A'; it defines no class"),
    "elsewhere.py": (
        PREAMBLE + "class A(Base):\n    @classmethod\n    def unavailable(cls): return 'needs a GPU'",
        "needs a GPU",
    ),
}

RARE = """
class AfterAWhile(Base):
    calls = 0
    def changed(self, x, y, state):
        self.calls += 1
        return (y if self.calls <= 20 else y * np.float32(0.5)), state

class NoBackward(Base):
    capabilities = Capabilities(gradients=True)

class SquareTurned(LSTMBackend):
    capabilities = Capabilities()
    def __init__(self, spec, weights):
        w = weights.layers[0][0]
        turned = w.w_ih.T.copy() if spec.input_size == 4 * spec.hidden_size else w.w_ih
        self.inner = NumpyLSTM(spec, type(weights)(((type(w)(turned, w.w_hh, w.b_ih, w.b_hh),),)))
    def forward(self, x, state, lengths=None, training=False):
        return self.inner.forward(x, state, lengths)
"""

ONLY_ONCE = """
class A(Base):
    pass
os.unlink(__file__)
"""


def verify(bench, names, *options):
    """The finished process, and the verdicts by name."""
    done = bench.run("verify", *names, "--seed", 1, "--json", "r.json", *options)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    found = {b["backend"]: b for b in json.loads((bench.folder / "r.json").read_text())["backends"]}
    assert list(found) == list(names)
    return done, found


def form_of(bench, name):
    """The status of the check `form`, and its reason in a process of the backend, without the command and judging processes."""
    executor = RemoteExecutor(f"{bench.folder}/{name}", 1, 1.0)
    try:
        promises = executor.describe().capabilities
        found = run_check(CHECKS[0], name, executor, promises, Options(examples=10, seed=1))
        return found.status, found.reason
    except BackendFaultError as fault:
        return "FAIL", fault.reason
    finally:
        executor.close()


def reasons(found):
    return " ".join([found.get("reason") or "", *(check["reason"] for check in found["checks"])])


def test_what_a_backend_returns_or_does_in_a_call_is_reported_with_what_was_expected(bench):
    bodies = [f"class {name}(Base):\n    def changed(self, x, y, state): {body}" for name, (body, _) in CHANGED.items()]
    bench.file("given.py", PREAMBLE + "\n".join([*bodies, *(text for text, _ in CLASSES.values())]))
    expected = {f"given.py:{name}": text for name, (_, text) in (CHANGED | CLASSES).items()}
    by_command = ["given.py:NoCapabilities", "given.py:Quits", "given.py:Hangs"]
    done, found = verify(bench, by_command, "--only", "form", "--examples", 10, "--timeout", 1)
    assert done.returncode == 1, done.stderr
    results = {name: (result["verdict"], reasons(result)) for name, result in found.items()}
    results |= {name: form_of(bench, name) for name in expected if name not in results}
    for name, text in expected.items():
        verdict, reason = results[name]
        assert verdict == "FAIL", (name, reason)
        assert text in reason, (name, reason)
        assert "\n" not in reason


def test_what_cannot_be_imported_is_unverified(bench):
    for file, (text, _) in IMPORTS.items():
        bench.file(file, text)
    done, found = verify(bench, [f"{file}:A" for file in IMPORTS], "--only", "form")
    assert done.returncode == 2
    for file, (_, text) in IMPORTS.items():
        assert found[f"{file}:A"]["verdict"] == "UNVERIFIED", (file, done.stdout)
        assert text in reasons(found[f"{file}:A"]), (file, reasons(found[f"{file}:A"]))


@pytest.mark.parametrize(
    ("name", "check"),
    [("AfterAWhile", "calls-independent"), ("SquareTurned", "forward-float32"), ("NoBackward", "gradients-zero")],
    ids=lambda v: v,
)
def test_rare_faults_are_found(bench, name, check):
    backend = load_backend(f"{bench.folder / bench.file('rare.py', PREAMBLE + RARE)}:{name}")
    tested = next(c for c in CHECKS if c.name == check)
    found = search(tested, LocalExecutor(backend), backend.capabilities, examples=DEFAULT_EXAMPLES, seed_value=1, shrink=False)
    assert found.failure is not None


def test_a_backend_that_can_be_imported_only_once_fails(bench):
    bench.file("once.py", PREAMBLE + ONLY_ONCE)
    done, found = verify(bench, ["once.py:A"], "--only", "form")
    assert done.returncode == 1, done.stdout
    assert "could be imported once and then not again" in reasons(found["once.py:A"])


def test_output_a_closed_stream_and_a_change_of_directory_are_harmless(bench):
    bodies = {"Talks": "print('word ' * 100_000)", "Moves": "os.chdir(os.sep)", "Closes": "sys.stdout.close()"}
    classes = [
        f"class {n}(Base):\n    def changed(self, x, y, state):\n        {b}\n        return y, state"
        for n, b in bodies.items()
    ]
    bench.file("harmless.py", PREAMBLE + "\n".join(classes))
    done, found = verify(bench, [f"harmless.py:{n}" for n in bodies], "--only", "form", "--examples", 3)
    assert done.returncode == 0, done.stdout
    assert {b["verdict"] for b in found.values()} == {"PASS"}
    assert "word word" not in done.stdout + done.stderr
