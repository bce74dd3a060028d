"""A value that an argument cannot have is refused by name before anything starts."""

import numpy as np
import pytest

import lstm_parity
from lstm_parity.harness.api.values import seconds, whole

REFUSED = [
    ("verify", {"examples": 0}),
    ("verify", {"examples": -1}),
    ("verify", {"examples": "3"}),
    ("verify", {"examples": 1.5}),
    ("verify", {"examples": True}),
    ("verify", {"seed": -1}),
    ("verify", {"timeout": 0}),
    ("verify", {"timeout": float("nan")}),
    ("verify", {"threads": 0}),
    ("verify", {"only": []}),
    ("verify", {"only": 1}),
    ("verify", {"known_failures": ["stack"]}),
    ("sweep", {"threads": -1}),
    ("sweep", {"budget": -1}),
    ("sweep", {"budget": float("nan")}),
    ("duel", {"threads": -1}),
    ("duel", {"budget": float("inf")}),
    ("duel", {"threshold": "a"}),
]


@pytest.mark.parametrize(("function", "given"), REFUSED, ids=str)
def test_the_argument_is_named(tmp_path, monkeypatch, function, given):
    monkeypatch.chdir(tmp_path)
    call = {
        "verify": lambda: lstm_parity.verify("numpy", **given),
        "sweep": lambda: lstm_parity.sweep(backend="numpy", **given),
        "duel": lambda: lstm_parity.duel("numpy", "numpy", **given),
    }[function]
    with pytest.raises(lstm_parity.CallError, match=next(iter(given))):
        call()
    assert not list(tmp_path.iterdir())


def test_integers_of_numpy_and_none_are_taken():
    assert (whole("threads", np.int64(2), 1), whole("seed", None, 0)) == (2, None)
    assert (seconds("budget", np.float32(0.5)), seconds("budget", None)) == (0.5, None)


def test_what_is_no_backend_and_no_store_is_said_at_once():
    with pytest.raises(lstm_parity.CallError, match=r"int is not a subclass of lstm_parity\.LSTMBackend"):
        lstm_parity.verify(int)
    with pytest.raises(lstm_parity.CallError, match="path of a file"):
        lstm_parity.Store(5)


def test_a_name_that_no_class_was_sent_for_is_refused(tmp_path):
    with pytest.raises(lstm_parity.CallError, match="X"):
        lstm_parity.sweep(backend="__main__:X", sequence_length=2, batch_size=1, store=tmp_path / "s.sqlite", progress=False)


def test_a_failure_stays_one_where_its_script_cannot_be_written(tmp_path):
    class Zeros(lstm_parity.LSTMBackend):
        capabilities = lstm_parity.Capabilities()

        def __init__(self, spec, weights):
            self.size = spec.hidden_size

        def forward(self, x, state, lengths=None, training=False):
            return np.zeros((*x.shape[:2], self.size), x.dtype), state

    pytest.importorskip("cloudpickle")
    (tmp_path / "file").write_text("")
    found = lstm_parity.verify(
        Zeros, examples=1, only="forward-float32", counterexamples=tmp_path / "file", progress=False, threads=1, seed=1
    )
    assert found.verdict == "FAIL"
    assert "could not be written" in " ".join(str(found).split())
