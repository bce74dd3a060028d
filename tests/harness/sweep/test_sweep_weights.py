"""Sweeps with the weights of a model file: sizes taken over, contradictions and NaN refused, another content another sweep."""

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec
from lstm_parity.harness.api.sweep import define
from lstm_parity.harness.cli import main
from lstm_parity.harness.problems.call_inputs import draw_weights
from lstm_parity.harness.records import TIMED

torch = pytest.importorskip("torch", reason="model files are made with torch")


def save(path, spoil=False, **models):
    """A state dict of nn.LSTMs by prefix; {"": ...} for one without a prefix."""
    tensors = {}
    for prefix, (inputs, hidden) in models.items():
        model = torch.nn.LSTM(inputs, hidden, num_layers=2, bidirectional=True)
        tensors |= {f"{prefix}.{name}": tensor.detach() for name, tensor in model.state_dict().items()}
    if spoil:
        tensors[next(iter(tensors))][0, 0] = float("nan")
    torch.save(tensors, path)


@pytest.fixture
def sweep(bench, monkeypatch):
    """Runs a sweep from this process, which has imported torch already; returns the exit code."""
    monkeypatch.chdir(bench.folder)
    return lambda *words: main(["sweep", *words, "--store", str(bench.store)])


def test_sizes_and_weights_are_those_of_the_file(bench, sweep):
    save(bench.folder / "m.pt", lstm=(3, 5))
    text = f"""\
import numpy as np
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        np.save({str(bench.folder / "seen.npy")!r}, weights.layers[1][1].w_hh)
"""
    words = ("--backend", bench.file("x.py", text) + ":X", "--weights", "m.pt", "--batch-size", "2", "--budget", "0.05")
    assert sweep("smoke", *words, "--mode", "inference", "--sequence-length", "2,3", "--precision", "float64") == 0
    rows = bench.rows()
    assert {(r["input_size"], r["hidden_size"], r["num_layers"], r["bidirectional"], r["weights"]) for r in rows} == {
        (3, 5, 2, 1, "m.pt")
    }
    assert {row["status"] for row in rows} <= set(TIMED), [row["reason"] for row in rows]
    assert {row["batch_size"] for row in rows} == {2}
    saved = torch.load(bench.folder / "m.pt")["lstm.weight_hh_l1_reverse"].numpy()
    np.testing.assert_array_equal(np.load(bench.folder / "seen.npy"), saved.astype(np.float64))
    assert not np.array_equal(saved, draw_weights(LSTMSpec(3, 5, 2, True), bench.runs()[0]["seed"]).layers[1][1].w_hh)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "m.pt", "--hidden-size", "7"], "hidden_size 7 contradicts m.pt, which has hidden_size 5"),
        (["--weights", "m.pt", "--num-layers", "1,2"], "num_layers 1, 2 contradicts m.pt"),
        (["--weights", "m.pt", "--input-size", "hidden"], "input_size hidden contradicts m.pt"),
        (["--weights", "nan.pt"], "nan.pt"),
        (["--weights", "two.pt"], "two.pt"),
        (["--weights", "two.pt#c"], "two.pt"),
        (["--weights", "empty.pt"], "empty.pt"),
        (["--weights", "torn.pt"], "torn.pt"),
        (["--weights", "."], "."),
    ],
    ids=lambda value: " ".join(value)[9:40] if isinstance(value, list) else "",
)
def test_what_a_file_cannot_give_is_one_line(bench, monkeypatch, capfd, words, said):
    monkeypatch.chdir(bench.folder)
    save(bench.folder / "m.pt", lstm=(3, 5))
    save(bench.folder / "nan.pt", lstm=(3, 5), spoil=True)
    save(bench.folder / "two.pt", a=(3, 5), b=(3, 4))
    (bench.folder / "empty.pt").write_bytes(b"")
    (bench.folder / "torn.pt").write_bytes((bench.folder / "m.pt").read_bytes()[:-1000])
    assert main(["sweep", "smoke", "--backend", "numpy", *words, "--store", str(bench.store)]) == 2
    line = capfd.readouterr().err
    assert len(line.strip().splitlines()) == 1, line
    assert said in line
    assert bench.runs() == []


def test_one_of_several_by_its_name_and_another_content_is_another_sweep(bench, sweep):
    save(bench.folder / "two.pt", a=(3, 5), b=(3, 4))
    tiny = bench.file("t.toml", "budget = 0.05\n[[grid]]\nsequence_length = 2\nbatch_size = 2\n")
    words = (tiny, "--backend", "numpy", "--weights", "two.pt#b", "--resume")
    assert sweep(*words) == 0
    assert sweep(*words) == 0
    (first,) = (run["definition_hash"] for run in bench.runs())

    def hash_now():
        return define(tiny, axes={}, backends=["numpy"], weights="two.pt#b")[0].hash()

    assert [(row["hidden_size"], row["weights"]) for row in bench.rows()] == [(4, "two.pt#b")]
    assert hash_now() == first
    save(bench.folder / "two.pt", a=(3, 5), b=(3, 4))
    assert hash_now() != first
