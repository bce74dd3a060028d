"""ONNX's own node tests for LSTM, through the backend `numpy`."""

import warnings
from functools import cache

import numpy as np
import pytest

from lstm_parity.backends import LSTMState, LSTMWeights, load_backend
from lstm_parity.backends.numpy_reference import reverse_valid

onnx = pytest.importorskip("onnx", reason="the node tests are part of the package onnx")

NAMES = [
    "test_lstm_batchwise",
    "test_lstm_bidirectional",
    "test_lstm_defaults",
    "test_lstm_reverse",
    "test_lstm_with_initial_bias",
    "test_lstm_with_peepholes",
]
ROLES = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


@cache
def node_tests():
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making the cases of other operators overflows
        return {case.name: case for case in collect_testcases("LSTM")}


def test_all_of_them_are_listed_here():
    assert sorted(node_tests()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_node(name):
    case = node_tests()[name]
    (node,) = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    batch_first = attributes.get("layout", 0) == 1
    assert case.data_sets
    for inputs, outputs in case.data_sets:
        given = dict(zip((i.name for i in case.model.graph.input), inputs, strict=True))
        tensors = {role: given[name] for role, name in zip(ROLES, node.input, strict=False) if name}
        weights = LSTMWeights.from_onnx(tensors["W"], tensors["R"], tensors.get("B"), tensors.get("P"))
        spec = weights.infer_spec()
        x = tensors["X"].transpose(1, 0, 2) if batch_first else tensors["X"]
        zeros = LSTMState.zeros(spec, x.shape[1])
        state = LSTMState(tensors.get("initial_h", zeros.h), tensors.get("initial_c", zeros.c))
        lengths = tensors["sequence_lens"].astype(np.int64) if "sequence_lens" in tensors else None
        # A lone reverse direction, which LSTMSpec has no word for, is the forward one on the sequence read backwards.
        alone = attributes.get("direction") == b"reverse"
        x = reverse_valid(x, lengths) if alone else x
        y, last = load_backend("numpy")(spec, weights).forward(x, state, lengths)
        y = reverse_valid(y, lengths) if alone else y
        # ONNX: Y [T, D, B, H], or batch first [B, T, D, H]; Y_h and Y_c [D, B, H], or [B, D, H]
        split = y.reshape(*y.shape[:2], spec.num_directions, spec.hidden_size)
        results = [split.transpose(0, 2, 1, 3), last.h, last.c]
        if batch_first:
            results = [split.transpose(1, 0, 2, 3), last.h.transpose(1, 0, 2), last.c.transpose(1, 0, 2)]
        produced = [result for result, name in zip(results, node.output, strict=False) if name]
        for got, want in zip(produced, outputs, strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
