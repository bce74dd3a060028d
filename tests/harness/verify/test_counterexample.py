"""Counterexamples: scripts that fail while the backend is wrong, pass once it is fixed, and contain the exact inputs."""

import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import lstm_parity
from lstm_parity.backends import LSTMSpec, load_backend
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.counterexamples.literals import COLUMNS, array_source
from lstm_parity.harness.verify.counterexamples.script import equations_source, write_counterexample
from lstm_parity.harness.verify.hints.hints import find_hints
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.program import DisagreementError, Program, ProgramRun
from lstm_parity.harness.verify.search import search
from lstm_parity.harness.verify.suite import find_location

pytestmark = pytest.mark.deep

ROOT = Path(lstm_parity.__file__).resolve().parent.parent
BACKEND = """\
import numpy as np
from lstm_parity import Capabilities, DirectionWeights, LSTMBackend, LSTMGradients, LSTMState, LSTMWeights
from lstm_parity.backends.numpy_lstm import NumpyLSTM

class Mine(NumpyLSTM):
    capabilities = Capabilities({promises})

{body}
"""
WRONG = {
    "gates swapped": (
        "forward-float32",
        "",
        """\
    def __init__(self, spec, weights):
        w = weights.layers[0][0]
        order = np.arange(len(w.w_ih)).reshape(4, -1)[[1, 0, 2, 3]].ravel()
        super().__init__(spec, LSTMWeights(((DirectionWeights(w.w_ih[order], w.w_hh[order], w.b_ih[order], w.b_hh[order]),),)))
""",
    ),
    "h0 ignored": (
        "forward-bfloat16",
        "precisions=frozenset({'bfloat16'}), bidirectional=True, peephole=True, lengths=True",
        """\
    def forward(self, x, state, lengths=None, training=False):
        return super().forward(x, LSTMState(np.zeros_like(state.h), state.c), lengths, training)
""",
    ),
    "layers ignore c0": (
        "stack",
        "num_layers=2, projection=True",
        """\
    def forward(self, x, state, lengths=None, training=False):
        return super().forward(x, LSTMState(state.h, np.zeros_like(state.c)), lengths, training)
""",
    ),
    "lengths ignored": (
        "lengths-row-alone",
        "lengths=True, bidirectional=True",
        """\
    def forward(self, x, state, lengths=None, training=False):
        return super().forward(x, state, None, training)
""",
    ),
    "gradient of b_hh is 0": (
        "gradients-float64",
        "precisions=frozenset({'float64'}), gradients=True, lengths=True, bidirectional=True, num_layers=2",
        """\
    def backward(self, grad_y, grad_state):
        g = super().backward(grad_y, grad_state)
        for _, array in [item for item in g.weights.items() if item[0].endswith('b_hh')]:
            array[...] = 0
        return g
""",
    ),
    "buffer": (
        "outputs-kept",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        self.kept = getattr(self, "kept", y)
        if self.kept.shape != y.shape:
            self.kept = y
        self.kept[...] = y
        return self.kept, last
""",
    ),
    "an earlier call's state": (
        "calls-independent",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, getattr(self, "state", state), lengths, training)
        self.state = LSTMState(state.h.copy(), state.c.copy())
        return y, last
""",
    ),
    "a cached result": (
        "calls-independent",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        self.answers = getattr(self, "answers", {})
        key = x.tobytes() + state.h.tobytes()
        if key not in self.answers:
            self.answers[key] = super().forward(x, state, lengths, training)
        return self.answers[key]
""",
    ),
    "a result cached by address": (
        "calls-independent",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        self.answers = getattr(self, "answers", {})
        key = x.__array_interface__["data"][0], x.shape
        if key not in self.answers:
            y, last = super().forward(x, state, lengths, training)
            self.answers[key] = y.copy(), last.h.copy(), last.c.copy()
        y, h, c = self.answers[key]
        return y.copy(), LSTMState(h.copy(), c.copy())
""",
    ),
    "h_n is not quite the last y": (
        "stack",
        "num_layers=2, bidirectional=True",
        """\
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        last.h[-1] = np.nextafter(last.h[-1], np.float32(2))
        return y, last
""",
    ),
    "instances share their trace": (
        "two-instances",
        "gradients=True, lengths=True",
        """\
    def forward(self, x, state, lengths=None, training=False):
        found = super().forward(x, state, lengths, training)
        Mine.x = x if training else None
        return found

    def backward(self, grad_y, grad_state):
        g = super().backward(grad_y, grad_state)
        w = g.weights.layers[0][0]
        w.w_ih[...] *= 1 + Mine.x.ravel()[0]
        return g
""",
    ),
    "raises": (
        "forward-float32",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        if x.shape[1] > 2:
            raise RuntimeError("no such plan")
        return super().forward(x, state, lengths, training)
""",
    ),
    "refuses read-only": (
        "read-only-inputs",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        x.flags.writeable = x.flags.writeable and x.base is None
        if not x.flags.writeable:
            raise ValueError("read-only")
        return super().forward(x, state, lengths, training)
""",
    ),
    "strides ignored": (
        "strided-inputs",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x.swapaxes(0, 1)).reshape(x.shape)
        return super().forward(x, state, lengths, training)
""",
    ),
    "returns None": (
        "form",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        return None
""",
    ),
    "y in float64": (
        "form",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return y.astype(np.float64), last
""",
    ),
    "writes to x": (
        "inputs-untouched",
        "",
        """\
    def forward(self, x, state, lengths=None, training=False):
        found = super().forward(x.copy(), state, lengths, training)
        x[...] = 0
        return found
""",
    ),
    "writes to b_ih": (
        "inputs-untouched",
        "",
        """\
    def __init__(self, spec, weights):
        super().__init__(spec, LSTMWeights(((weights.layers[0][0].astype(np.float64).astype(np.float32),),)))
        weights.layers[0][0].b_ih[...] += 1
""",
    ),
    "not deterministic": (
        "deterministic",
        "",
        """\
    calls = 0
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        Mine.calls += 1
        return np.nextafter(y, np.float32(Mine.calls % 2)), last
""",
    ),
}


def backend_file(folder, promises, body):
    path = folder / "mine.py"
    path.write_text(BACKEND.format(promises=promises, body=body))
    return path


def failure_of(path, check_name):
    backend = load_backend(f"{path}:Mine")
    check = next(c for c in CHECKS if c.name == check_name)
    executor = LocalExecutor(backend)
    found = search(check, executor, backend.capabilities, examples=20, seed_value=5)
    assert found.failure is not None, f"{check_name} does not fail"
    ulps = backend.capabilities.activation_ulps
    where = find_location(found.failure, ulps)
    texts = []
    if where is not None and found.failure.kind == "wrong":
        texts = find_hints(found.failure, found.first_failure, where, executor, ulps)
    return check, found.failure, where, texts


def script_of(path, check_name, script, name=None):
    """Write the counterexample of the check's failure; returns (check, failure, location, hints)."""
    check, failure, where, texts = found = failure_of(path, check_name)
    write_counterexample(script, check, name or f"{path}:Mine", failure, where, texts)
    return found


def run_script(path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-W", "error", path.name], cwd=path.parent, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("name", WRONG)
def test_the_script_fails_until_the_backend_is_fixed(name, tmp_path):
    check_name, promises, body = WRONG[name]
    mine = backend_file(tmp_path, promises, body)
    script = tmp_path / "elsewhere" / f"counterexample-{check_name}.py"
    _, _, where, texts = script_of(mine, check_name, script)
    text = script.read_text()
    assert "harness" not in text.replace(str(tmp_path), "")
    assert max(map(len, text.replace(str(tmp_path), "").splitlines())) <= 128
    assert all(" ".join(hint.split()) in " ".join(text.split()) for hint in texts)

    wrong = run_script(script)
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    if where is not None:
        times = "nan" if np.isnan(where.spot.got) else f"{where.spot.ratio:.3g}"
        assert f" {times} times the allowed error" in wrong.stdout, (where.spot, wrong.stdout)
        assert "WRONG" in wrong.stdout, wrong.stdout + wrong.stderr
    backend_file(tmp_path, promises, "")
    fixed = run_script(script)
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert "WRONG" not in fixed.stdout


def test_a_script_whose_call_hangs_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_parity.harness.verify.counterexamples.script.HANG_S", 1)
    mine = backend_file(tmp_path, "", "    def forward(self, *a, **k):\n        while True:\n            pass\n")
    problem = draw_problem(LSTMSpec(2, 3), 2, 1, 0)
    program = Program(((problem.spec, problem.weights),), ((0, problem.inputs),))
    failure = DisagreementError("no result within 60 s", [ProgramRun((problem,), program, None)], kind="hung")
    script = tmp_path / "counterexample-form.py"
    write_counterexample(script, CHECKS[0], f"{mine}:Mine", failure, None, [])
    hung = run_script(script)
    assert hung.returncode == 1
    assert "in forward" in hung.stderr
    backend_file(tmp_path, "", "")
    assert run_script(script).returncode == 0


def test_the_docstring_says_what_is_wrong(tmp_path):
    check_name, promises, body = WRONG["gates swapped"]
    script = tmp_path / "c.py"
    check, failure, _, _ = script_of(backend_file(tmp_path, promises, body), check_name, script, "numpy")
    head = " ".join(script.read_text().split('"""')[1].split())
    for text in (check.claim, failure.runs[0].problems[0].describe(), failure.reason, "gates i and f are swapped"):
        assert text in head


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_literals_give_the_same_bits(dtype):
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    info = ml_dtypes.finfo(kind)
    rng = np.random.default_rng(11)
    bits = rng.integers(0, 2 ** (8 * kind.itemsize - 1), 200, dtype=np.uint64)
    drawn = bits.astype(f"u{kind.itemsize}").view(kind)
    with np.errstate(invalid="ignore"):
        drawn = drawn[drawn == drawn]  # without the NaN
    special = np.array([0.0, -0.0, 1, -1, 0.1, 1 / 3, 1e4, np.inf, -np.inf, float(info.max)]).astype(kind)
    tiny = np.array([info.smallest_subnormal, info.tiny, -info.smallest_subnormal]).astype(kind)
    flat = np.concatenate([special, tiny, drawn])
    for array in (
        flat,
        np.resize(flat, (3, 2, 5)),
        np.resize(flat, (2, 50)),
        np.zeros((2, 0), kind),
        np.resize(flat, (1, 1, 1)),
    ):
        source = array_source(array)
        assert max(map(len, source.splitlines())) <= COLUMNS
        again = eval(source, {"np": np, "ml_dtypes": ml_dtypes})
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert again.tobytes() == array.tobytes(), source
    assert np.isnan(eval(array_source(np.array([np.nan], kind)), {"np": np, "ml_dtypes": ml_dtypes}).astype(np.float64)).all()


@pytest.mark.parametrize(
    "features",
    [
        {},
        {"bidirectional": True},
        {"num_layers": 2, "bidirectional": True},
        {"proj_size": 2, "peephole": True},
        {"bias": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("ragged", [False, True])
def test_the_equations_in_the_script_are_the_reference(features, ragged):
    spec = LSTMSpec(3, 4, precision="float64", **features)
    lengths = np.array([3, 0, 5, 2]) if ragged else None
    problem = draw_problem(spec, 5, 4, 3, lengths=lengths)
    space = {"np": np}
    exec(equations_source(), space)
    i = problem.inputs
    arguments = [i.x, i.state.h, i.state.c] + [lengths] * ragged
    found = space["equations"](problem.weights, *arguments)
    judgement = Expected(spec, problem.weights, i).judge(Results(*found))
    assert judgement.agrees, judgement.reason


def test_many_numbers_are_written_to_a_separate_file(tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_parity.harness.verify.counterexamples.script.MAX_NUMBERS", 10)
    check_name, promises, body = WRONG["h0 ignored"]
    mine = backend_file(tmp_path, promises, body)
    script = tmp_path / f"counterexample-{check_name}.py"
    script_of(mine, check_name, script)
    assert script.with_suffix(".npz").is_file()
    assert script.with_suffix(".npz").name in script.read_text()
    assert run_script(script).returncode == 1
    backend_file(tmp_path, promises, "")
    fixed = run_script(script)
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
