"""What the README shows is true: its backend, its TOML file, its presets."""

import re
import shlex
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, load_backend
from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.harness.cli import build_parser, main
from lstm_parity.harness.faults.kernels.catalogue import FAULTS
from lstm_parity.harness.oracle.agreement import Results, judge
from lstm_parity.harness.problems.values import spread_inputs, spread_weights
from lstm_parity.harness.sweep.grid import cells_of, load_sweep, preset_names
from lstm_parity.harness.verify.checks import CHECKS

README = Path(__file__).parent.parent / "README.md"


def block(first, last):
    """The indented block of the README from the line `first` to the line `last`."""
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"^    +{re.escape(first)}.*\n(.*\n)*?    +{re.escape(last)}.*\n", text, re.MULTILINE)
    assert found, first
    return textwrap.dedent(found.group(0))


@pytest.mark.parametrize("swap", [False, True])
def test_the_backend_is_short_and_right_and_wrong_with_two_gates_swapped(tmp_path, swap):
    source = block("import numpy as np", "return y, LSTMState(h[None], c[None])")
    assert len(source.splitlines()) < 40
    if swap:
        swapped = source.replace("i, f, g, o = np.split", "f, i, g, o = np.split")
        assert swapped != source
        source = swapped
    (tmp_path / "my_lstm.py").write_text(source)
    spec = LSTMSpec(7, 13)
    rng = np.random.default_rng(0)
    weights, inputs = spread_weights(spec, rng), spread_inputs(spec, 5, 3, rng)
    backend = load_backend(f"{tmp_path / 'my_lstm.py'}:MyLSTM")(spec, weights)
    y, last = backend.forward(inputs.x, inputs.state)
    assert judge(spec, weights, inputs, Results(y, last.h, last.c)).agrees is not swap


def test_the_guide_ends_with_pass_and_its_failure_is_what_verify_says(tmp_path, monkeypatch, capsys):
    source = block("import numpy as np", "return y, LSTMState(h[None], c[None])")
    monkeypatch.chdir(tmp_path)
    Path("my_lstm.py").write_text(source)
    assert main(["verify", "my_lstm.py:MyLSTM", "--examples", "4", "--seed", "1"]) == 0
    assert "my_lstm.py:MyLSTM: PASS" in capsys.readouterr().out
    Path("my_lstm.py").write_text(source.replace("i, f, g, o = np.split", "f, i, g, o = np.split"))
    assert main(["verify", "my_lstm.py:MyLSTM", "--only", "forward-float32", "--seed", "7"]) == 1
    said = capsys.readouterr().out
    shown = block("FAIL       forward-float32: the result of one layer", "run it: python counterexample-forward-float32.py")
    for line in shown.splitlines():
        assert line.strip() in said, said


def test_every_check_that_is_named_exists():
    text = README.read_text(encoding="utf-8")
    names = {check.name for check in CHECKS}
    assert set(re.findall(r"--only ([a-z0-9-]+)", text)) <= names
    assert (
        set(re.findall(r'^    ([a-z-]+) = "NaN', text, re.MULTILINE)) | set(re.findall(r'known_failures=\{"([a-z-]+)"', text))
        <= names
    )


def test_every_command_that_is_shown_is_one():
    lines = re.findall(r"^    lstm-parity (.*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) > 20
    for line in lines:
        build_parser().parse_args(shlex.split(line, comments=True))  # where it cannot be: SystemExit, and one line says why


def test_the_toml_file_loads(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(block('title = "narrow and wide"', 'launch = "call"'))
    assert len(cells_of(load_sweep(str(path)).grids, {})) == 16


def test_every_preset_is_named():
    text = README.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in preset_names())


def test_a_barrier_taken_out_of_a_copy_of_the_kernels_is_found_as_shown(tmp_path, capsys):
    if unavailable := Emulator.unavailable():
        pytest.skip(f"UNVERIFIED: {unavailable}")
    copy = tmp_path / "mine"
    shutil.copytree(KERNELS, copy)
    text = (copy / "exchange.cuh").read_text()
    (copy / "exchange.cuh").write_text(text.replace("__syncthreads();", "", 1))
    assert main(["emulate", "--kernels", str(copy), "--path", "persistent"]) == 1
    said = capsys.readouterr().out
    shown = re.findall(r"^    (persistent_forward\.cu:\d+: .*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) == 2
    for line in shown:
        start, _, place = line.partition(" (block")
        assert any(one.startswith(start) and place in one for one in said.splitlines()), said


def test_the_number_of_planted_faults_is_true():
    text = " ".join(README.read_text(encoding="utf-8").split())
    assert f"plants {len(FAULTS)} such faults" in text
    published = (README.parent / "reports" / "published" / "amd-epyc-2-cores" / "kernel-faults.md").read_text(encoding="utf-8")
    assert all(f"| {fault.name} | {fault.file} |" in published for fault in FAULTS)
