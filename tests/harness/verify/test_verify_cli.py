"""`lstm-parity verify` as a user runs it: messages, exit codes, files."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lstm_parity.harness.cli import main
from lstm_parity.harness.verify.backend import _Judges
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.known_failures import load_known_failures
from lstm_parity.harness.verify.results import Options
from lstm_parity.testing import parity_tests

PLAIN = (Path(__file__).parent / "plain_backend.py").read_text()
SWAPPED = PLAIN.replace('gates = "ifgo"', 'gates = "figo"')
START = "    def initial(self, state):\n"
SLOW = PLAIN.replace(START, START + "        __import__('time').sleep(0.05)\n")
assert PLAIN not in (SWAPPED, SLOW)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "name a backend to verify"),
        (["verify", "numpy", "--only", "foward-float32"], "did you mean forward-float32?"),
        (["verify", "numpy", "--examples", "0"], "not an integer above 0"),
        (["verify", "numpy", "--examples", "many"], "not an integer above 0"),
        (["verify", "numpy", "--seed", "-1"], "not an integer of 0 or more"),
        (["verify", "numpy", "--timeout", "0"], "not a number of seconds above 0"),
        (["verify", "numpy", "--threads", "0"], "not an integer above 0"),
        (["verify", "numpy", "--json", "nowhere/out.json"], "there is no folder nowhere"),
        (["verify", "numpy", "--known-failures", "none.toml"], "none.toml: No such file"),
        (["verify", "numpy", "--weights", "none.onnx"], "none.onnx: no such file"),
        (["mutants", "--json", "nowhere/out.json"], "there is no folder nowhere"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, in_folder, refused):
    assert message in refused(arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[numpy]\nforward-float = 'x'\n", "there is no check 'forward-float'"),
        ("[nunpy]\nform = 'x'\n", "'nunpy' is neither verified here"),
        ("[numpy]\nform = ''\n", "expected a table"),
        ("numpy = 1\n", "expected a table"),
        ("[numpy\n", "not valid TOML"),
    ],
)
def test_known_failures_that_match_nothing(text, message, in_folder, refused):
    Path("known.toml").write_text(text)
    assert message in refused(["verify", "numpy", "--known-failures", "known.toml"])


def test_one_file_of_known_failures_serves_several_calls(in_folder):
    Path("known.toml").write_text("[numpy]\nform = 'a reason'\n[torch-cudnn]\nform = 'another'\n")
    found = load_known_failures(Path("known.toml"), ["numpy"], {"form"})
    assert found["numpy"] == {"form": "a reason"}


def test_list_checks(capsys):
    assert main(["verify", "--list-checks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [check.name for check in CHECKS]


def python(bench, *arguments):
    """Python in the bench's folder, finished."""
    command, environment = [sys.executable, *arguments], bench.environment()
    return subprocess.run(command, cwd=bench.folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.deep
def test_swapped_gates_from_the_command_line(bench):
    bench.file("mine.py", SWAPPED)
    arguments = ["mine.py:Plain", "--only", "forward-float32", "--only", "bounded", "--json", "v.json", "--seed", "3"]
    done = bench.run("verify", *arguments, "--examples", "5")
    assert done.returncode == 1, done.stderr
    assert "mine.py:Plain: FAIL (1 FAIL, 1 PASS" in done.stdout
    assert "hint: matches exactly if gates i and f are swapped" in done.stdout
    assert "run it: python counterexample-forward-float32.py" in done.stdout
    assert "seed 3" in done.stderr
    found = json.loads((bench.folder / "v.json").read_text())
    assert found["schema"] == 1
    assert found["machine"]["cores"] >= 1
    (backend,) = found["backends"]
    assert (backend["backend"], backend["verdict"], backend["effective_bits"]) == ("mine.py:Plain", "FAIL", {})
    forward, bounded = backend["checks"]
    script = "counterexample-forward-float32.py"
    assert (forward["check"], forward["status"], forward["counterexample"]) == ("forward-float32", "FAIL", script)
    assert (bounded["status"], bounded["examples"], bounded["counterexample"]) == ("PASS", 5, None)
    wrong = python(bench, str(bench.folder / script))
    assert wrong.returncode == 1, wrong.stderr
    bench.file("mine.py", PLAIN)
    assert python(bench, script).returncode == 0
    again = bench.run("verify", *arguments, "--examples", "5")
    assert again.returncode == 0
    assert "mine.py:Plain: PASS (2 PASS; 25 examples)" in again.stdout


def test_all_backends_are_verified_and_the_worst_verdict_is_the_exit_code(bench):
    bench.file("mine.py", PLAIN)
    done = bench.run("verify", "nowhere.py:Thing", "mine.py:Plain", "--only", "form", "--examples", "1", "--json", "v.json")
    assert done.returncode == 2
    assert "nowhere.py:Thing: UNVERIFIED: no such file" in done.stdout
    assert "mine.py:Plain: PASS" in done.stdout
    missing, there = json.loads((bench.folder / "v.json").read_text())["backends"]
    assert (missing["verdict"], there["verdict"]) == ("UNVERIFIED", "PASS")
    assert {check["status"] for check in missing["checks"]} == {"UNVERIFIED"}


def test_weights_of_a_file_are_another_regime(bench):
    pytest.importorskip("safetensors", reason="safetensors is an extra")
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    shapes = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5), "bias_ih_l0": (20,), "bias_hh_l0": (20,)}
    tensors = {
        f"{name}{end}": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items() for end in ("", "_reverse")
    }
    save_file(tensors, bench.folder / "both.safetensors")
    save_file({name: a for name, a in tensors.items() if not name.endswith("_reverse")}, bench.folder / "one.safetensors")
    bench.file("mine.py", PLAIN)
    refused = bench.run("verify", "mine.py:Plain", "--only", "form", "--weights", "both.safetensors")
    assert refused.returncode == 2
    assert "both.safetensors: mine.py:Plain: not promised: bidirectional" in refused.stderr
    bench.file("mine.py", PLAIN.replace(START, START + "        assert self.w.w_ih.shape != (20, 3)\n"))
    used = bench.run("verify", "mine.py:Plain", "--only", "forward-float32", "--weights", "one.safetensors", "--seed", "1")
    assert used.returncode == 1
    assert "I=3 H=5, float32, file values" in used.stdout


def pytest_in(bench, *options):
    return python(bench, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py", *options)


@pytest.mark.deep
def test_parity_tests_are_one_test_for_each_check(bench):
    bench.file("mine.py", SWAPPED)
    bench.file(
        "test_mine.py",
        "from lstm_parity.testing import parity_tests\n"
        'known = dict.fromkeys(["memory-holds", "lecture-long-periods"], "its gates come in another order")\n'
        'test_parity = parity_tests("mine.py:Plain", examples=1, known_failures=known)\n',
    )
    collected = pytest_in(bench, "--collect-only")
    expected = [f"test_mine.py::test_parity[{check.name}]" for check in CHECKS]
    assert [line for line in collected.stdout.splitlines() if "::" in line] == expected, collected.stdout
    assert len(expected) == 57
    done = pytest_in(bench, "-k", "float32 or holds or periods")
    assert done.returncode == 1, done.stdout
    assert "test_parity[forward-float32]" in done.stdout
    assert "hint: matches exactly if gates i and f are swapped" in done.stdout
    assert "2 failed" in done.stdout, done.stdout
    assert "2 xfailed" in done.stdout
    bench.file("test_mine.py", 'from lstm_parity.testing import parity_tests\ntest_parity = parity_tests("nowhere.py:Thing")\n')
    absent = pytest_in(bench, "-rs")
    assert "UNVERIFIED: no such file" in absent.stdout
    assert " passed" not in absent.stdout


def test_a_known_failure_must_name_a_check():
    with pytest.raises(Exception, match="there is no check 'fom'"):
        parity_tests("numpy", known_failures={"fom": "x"})


def children_of(pid):
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(status.parent.name)
            found += [child, *children_of(child)]
    return found


@pytest.mark.deep
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted(bench, signal_number):
    """Ctrl-C keeps finished results; after a kill no process is left."""
    bench.file("mine.py", SLOW)
    running = bench.start("verify", "mine.py:Plain", "--json", "v.json", "--examples", "200")
    deadline = time.monotonic() + 60
    while len(started := children_of(running.pid)) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    running.send_signal(signal_number)
    out, err = running.communicate(timeout=60)
    assert len(started) >= 4, err
    while any(Path(f"/proc/{pid}").exists() for pid in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    if signal_number == signal.SIGINT:
        assert running.returncode == 130, err
        assert "Traceback" not in err
        assert "mine.py:Plain: UNVERIFIED" in out
        (backend,) = json.loads((bench.folder / "v.json").read_text())["backends"]
        assert {"UNVERIFIED", "SKIP"} <= {check["status"] for check in backend["checks"]}


@pytest.mark.deep
def test_a_judging_process_that_is_killed(plain, tmp_path):
    """Its check is UNVERIFIED, and the remaining processes run the others."""
    path = tmp_path / "mine.py"
    path.write_text(SLOW)
    checks = [check for check in CHECKS if check.name in ("forward-float32", "bounded", "memory-holds")]
    options = Options(examples=20)
    with _Judges(f"{path}:Plain", options, 2) as judges:
        results = judges.results(checks)
        victim = judges.running[0][0]
        threading.Timer(1.5, victim.kill).start()
        found = {result.check: result for result in results}
    assert set(found) == {check.name for check in checks}
    lost = [result for result in found.values() if result.status == "UNVERIFIED"]
    assert len(lost) == 1
    assert lost[0].reason == "its judging process was ended from outside"
    assert sum(result.status == "PASS" for result in found.values()) == 2
