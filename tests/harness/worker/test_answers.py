"""What a parent reads as an answer: the type that it asked for, with fields of their types."""

import pickle
import re

import ml_dtypes
import numpy as np
import pytest

from lstm_parity.backends import Capabilities
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.sweep.messages import Checked, MemoryUsed, Opened, Ready, Sample
from lstm_parity.harness.worker.messages import Description, Failure, read_answer


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
def test_an_answer_is_read_as_it_was_sent(answer, protocol):
    found = read_answer(pickle.dumps(answer, protocol), type(answer))
    assert type(found) is type(answer)
    np.testing.assert_equal(found, answer)


ZEROS = np.zeros((1, 1, 1))


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (Ready(), Sample, "a Ready in place of a Sample"),
        (None, Results, "a NoneType in place of a Results"),
        (Sample(None, None), Sample, "wall_s: None in place of a number"),
        (Sample(float("nan"), None), Sample, "wall_s: nan in place of a number"),
        (Sample(1.0, "soon"), Sample, "device_s: 'soon' in place of a number"),
        (Sample(True, None), Sample, "wall_s: True in place of a number"),
        (Opened(0.5, ["cpu"]), Opened, "device: a list in place of a str"),
        (MemoryUsed(10**30, None), MemoryUsed, f"host: {10**30} in place of a whole number"),
        (Checked(Results([1], ZEROS, ZEROS), 1.0, 1.0), Checked, "results: y: a list in place of a ndarray"),
        (Results(ZEROS, ZEROS, ZEROS, None, [ZEROS, "x"]), Results, "projections: a str in place of a ndarray"),
        (Description({"device": "cpu"}, None), Description, "capabilities: a dict in place of a Capabilities"),
        (Failure("unheard of", "x"), Sample, "kind: 'unheard of'"),
        (Failure("crashed", b"x"), Sample, "reason: a bytes in place of a str"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_of_another_type_is_refused_with_its_place(answer, expected, said):
    with pytest.raises(pickle.UnpicklingError, match=f"^{re.escape(said)}$"):
        read_answer(pickle.dumps(answer), expected)


def test_a_failure_answers_every_message():
    assert read_answer(pickle.dumps(Failure("wrong", "x")), Sample) == Failure("wrong", "x")
