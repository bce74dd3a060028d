"""What the README shows is true: its backend, its TOML file, its presets."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from backends import LSTMSpec, load_backend
from harness.cli import main
from harness.sweep.grid import cells_of, load_sweep, preset_names
from harness.values import spread_inputs, spread_weights
from harness.verify.agreement import Results, judge
from harness.verify.checks import CHECKS

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


def test_the_toml_file_loads(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(block('title = "narrow and wide"', 'launch = "call"'))
    assert len(cells_of(load_sweep(str(path)).grids, {})) == 16


def test_every_preset_is_named():
    text = README.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in preset_names())
