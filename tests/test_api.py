"""The Python API from an installed wheel: from a script, from standard input, at a prompt and in a notebook."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

TINY = """\
backends = ["numpy"]
budget = 0.02
[[grid]]
sequence_length = 3
batch_size = 2
hidden_size = 4
"""
WRONG = """\
from lstm_parity import Capabilities, LSTMState, load_backend

FACTOR = 2

class Wrong(load_backend("numpy")):
    capabilities = Capabilities()
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return FACTOR * y, last

"""
VERIFIES = f"""\
import os, lstm_parity
assert lstm_parity.__file__.startswith(os.environ["PYTHONPATH"])
{WRONG}
print("started")
result = lstm_parity.verify(Wrong, only=["form", "forward-float32"], examples=2, seed=0)
print([(check.check, check.status) for check in result.checks], result.backend, result.verdict)
"""
FOUND = "[('form', 'PASS'), ('forward-float32', 'FAIL')] __main__:Wrong FAIL"


@pytest.fixture
def project(tmp_path):
    """A folder of a user."""
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


@pytest.fixture
def run(site, project):
    """Runs Python there with the installed wheel."""

    def start(*words, given=None):
        environment = os.environ | {"PYTHONPATH": str(site)}
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=project, env=environment, input=given, capture_output=True, text=True, check=False, timeout=120
        )

    return start


def test_a_script_without_a_guard_verifies_its_own_class(run, project):
    (project / "script.py").write_text(VERIFIES)
    done = run("script.py")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["started", FOUND]), done.stderr
    assert done.stderr == ""
    found = project / "counterexample-forward-float32.py"
    assert "Wrong is in no file: define or import it here, above NAME." in found.read_text()
    found.write_text(found.read_text().replace("NAME = ", f"{WRONG}NAME = "))
    assert run(found.name).returncode == 1
    found.write_text(found.read_text().replace("FACTOR = 2", "FACTOR = 1"))
    assert run(found.name).returncode == 0


def test_a_script_on_standard_input_verifies_its_own_class(run):
    done = run("-", given=VERIFIES)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["started", FOUND]), done.stderr


def test_an_interactive_session_verifies_its_own_class(run):
    done = run("-i", "-q", given=f"{VERIFIES}\nresult\nresult.check('form')\n")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert shown[:2] == ["started", FOUND]
    assert shown[2].startswith("<VerifyResult __main__:Wrong: FAIL (1 FAIL, 1 PASS; ")
    assert shown[3].startswith("CheckResult(check='form', status='PASS'")


def test_a_notebook_verifies_a_class_of_a_cell(site, project, monkeypatch):
    manager = pytest.importorskip("jupyter_client.manager", reason="UNVERIFIED: jupyter_client is not installed")
    pytest.importorskip("ipykernel", reason="UNVERIFIED: ipykernel is not installed")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.chdir(project)
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    try:
        cells = VERIFIES.split("\n\n\n"), [f"print({FOUND!r} == 'the first time')", "result"]
        shown = []
        for cell in [*cells[0], *cells[1]]:
            reply = client.execute_interactive(cell, timeout=60, output_hook=lambda message: shown.append(message["content"]))
            assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    text = "".join(content.get("text", "") for content in shown)
    assert text.splitlines()[:2] == ["started", FOUND]
    values = [content["data"]["text/plain"] for content in shown if "data" in content]
    assert values[-1].startswith("<VerifyResult __main__:Wrong: FAIL ")


EVERYTHING = """\
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstm_parity import (
    CallError,
    Capabilities,
    DirectionWeights,
    DuelResult,
    LSTMBackend,
    LSTMGradients,
    LSTMSpec,
    LSTMState,
    LSTMWeights,
    Store,
    SweepResult,
    UnavailableError,
    UnsupportedError,
    VerifyResult,
    backend_names,
    duel,
    load_backend,
    load_weights,
    sweep,
    verify,
)
from lstm_parity.testing import parity_tests


class Mine(LSTMBackend):
    capabilities = Capabilities(num_layers=1)

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        if spec.peephole:
            raise UnsupportedError("peephole")
        self._lstm = load_backend("numpy")(spec, weights)

    def forward(self, x: Any, state: LSTMState, lengths: Any = None, training: bool = False) -> tuple[Any, LSTMState]:
        return self._lstm.forward(x, state, lengths, training)

    def backward(self, grad_y: Any, grad_state: LSTMState) -> LSTMGradients:
        return self._lstm.backward(grad_y, grad_state)


test_mine = parity_tests(Mine, examples=2, known_failures={"form": "a reason"}, counterexamples=None)


def ran(weights: Path) -> Sequence[VerifyResult]:
    names: list[str] = backend_names()
    try:
        first = verify(Mine, examples=2, seed=0, only="form", timeout=30.0, threads=1, counterexamples=None, progress=False)
        model = load_weights(weights)
        d: DirectionWeights = model.weights.layers[0][0]
        bits: float | None = first.check("form").bits
        assert first.ok, (str(first), names, d.w_ih.shape, bits)
        return [first, verify("numpy", only=["form"], weights=weights, known_failures={}, store=Path("s.sqlite"))]
    except (CallError, UnavailableError) as error:
        print(error)
        return []


def compared() -> DuelResult:
    result = duel("numpy", Mine, "tiny.toml", precision="float32", mode="inference", budget=0.1, threshold=0.02)
    for decided in result.pairs:
        verdict: str = decided.verdict
        ratio = None if decided.pair.change is None else decided.pair.change.ratio
        print(verdict, ratio, decided.pair.cell.spec.hidden_size)
    return result


def measured() -> SweepResult:
    sides: list[str | type[LSTMBackend]] = ["numpy", Mine]
    return sweep("tiny.toml", backend=sides, sequence_length=[2, 3], input_size="hidden", threads=1, store="tiny.sqlite")


if __name__ == "__main__":
    result = measured()
    rows = result.rows
    assert set(rows["status"]) <= {"PASSED", "UNSTABLE", "SUSPECT"}, rows["reason"]
    print(sorted(set(rows["backend"])), len(rows), sorted(set(rows["sequence_length"])), set(rows["run_id"]) == {result.run_id})
    print(len(Store(Path("tiny.sqlite")).rows), sum(result.statuses.values()))
"""
RUNS = """\
import runpy, lstm_parity.harness.sweep.run as run
run.measure_peaks = lambda threads, cuda: {("none", "copy"): 1.0}
runpy.run_path("everything.py", run_name="__main__")
"""


def test_a_sweep_of_a_class_of_the_script(run, project):
    (project / "everything.py").write_text(EVERYTHING)
    done = run("-c", RUNS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['__main__:Mine', 'numpy'] 4 [2, 3] True", "4 4"]
    assert [line[:5] for line in done.stderr.splitlines()] == ["[1/2]", "[2/2]"]


@pytest.mark.deep
def test_a_script_that_uses_all_of_it_is_typed(site, project):
    """In a new environment, whose site-packages mypy reads only where it finds py.typed."""
    pytest.importorskip("mypy", reason="UNVERIFIED: mypy is not installed")
    venv.create(project / "env", with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(project / "env")}))
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join([str(site), *others]))
    (project / "everything.py").write_text(EVERYTHING)
    python = Path(sysconfig.get_path("scripts", "venv", {"base": str(project / "env")})) / Path(sys.executable).name
    words = ["-m", "mypy", "--strict", "--python-executable", str(python), "everything.py"]
    done = subprocess.run([sys.executable, *words], cwd=project, capture_output=True, text=True, check=False)
    assert done.stdout == "Success: no issues found in 1 source file\n", done.stdout + done.stderr
    (project / "everything.py").write_text(EVERYTHING.replace('only="form"', "only=3"))
    done = subprocess.run([sys.executable, *words], cwd=project, capture_output=True, text=True, check=False)
    assert 'Argument "only" to "verify" has incompatible type "int"' in done.stdout


TESTS = """\
import pytest
from lstm_parity import load_backend
from lstm_parity.testing import parity_tests

class Mine(load_backend("numpy")):
    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        return (2 * y if len(x) > 1 else y), last

test_mine = parity_tests(Mine, examples=3, known_failures={"forward-float32": "twice too large"})
test_named = parity_tests("numpy", examples=1)
"""


@pytest.mark.parametrize("import_mode", ["prepend", "importlib"])
def test_parity_tests_of_a_class_of_the_test_module(run, project, import_mode):
    (project / "test_mine.py").write_text(TESTS)
    words = ["-p", "no:cacheprovider", "-rxfE", "--import-mode", import_mode]
    done = run("-m", "pytest", *words, "-k", "form or forward-float32 or causal or state-handed-on", "test_mine.py")
    summary = done.stdout.splitlines()
    assert any(line.startswith("XFAIL test_mine.py::test_mine[forward-float32] - twice too large") for line in summary), (
        done.stdout
    )
    assert any(line.startswith("FAILED test_mine.py::test_mine[") for line in summary), done.stdout
    assert " passed" in summary[-1]
    assert done.returncode == 1
