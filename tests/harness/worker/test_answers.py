"""What a parent unpickles of an answer: plain data, and nothing that runs."""

import os
import pickle
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from backends import Capabilities
from harness.sweep.messages import Sample
from harness.worker.answers import read_answer


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"a": [1, 2.5, "x", b"y", (True, None)], "b": {1, 2}, "c": frozenset({"z"}), "d": bytearray(b"q"), "e": 1j},
        Capabilities(precisions=frozenset({"float32", "bfloat16"}), activation_ulps=8),
        Sample(np.float64(0.5), None, 0.25),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.ones((2, 3), ml_dtypes.bfloat16)),
        np.float16(1.5),
        np.dtype("int64"),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_plain_data_comes_as_it_was_sent(answer, protocol):
    found = read_answer(pickle.dumps(answer, protocol))
    assert type(found) is type(answer)
    np.testing.assert_equal(found, answer)


class Runs:
    def __init__(self, call, *arguments):
        self.how = call, arguments

    def __reduce__(self):
        return self.how


class Promises(Capabilities):
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize(
    "answer",
    [
        Runs(os.system, "touch ran"),
        Runs(eval, "open('ran', 'w')"),
        Runs(np.memmap, "ran", "uint8", "w+", 0, 10),
        Runs(np.save, "ran.npy", 1),
        [Runs(Path, "ran")],
        Promises(),
        OSError("an exception is no answer"),
    ],
    ids=["system", "eval", "memmap", "save", "path", "subclass", "exception"],
)
def test_what_would_run_does_not(answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"it names \S+, which is no plain data"):
        read_answer(pickle.dumps(answer))
    assert list(tmp_path.iterdir()) == []
