"""Finding LSTMs among named tensors; no optional library is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, LSTMWeights
from lstm_parity.backends.weights.contents import Contents
from lstm_parity.backends.weights.state_dicts import Tensor, find_lstms

Draw = Callable[..., LSTMWeights]
Same = Callable[[LSTMWeights, LSTMWeights], None]


def entries(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Tensor]]:
    flat = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat += entries(value, (*path, key))
        else:
            flat.append(((*path, key), Tensor(value.shape, str(value.dtype), lambda value=value: value)))  # type: ignore[misc]
    return flat


def find(tree: Mapping[str, Any]) -> Contents:
    return find_lstms(entries(tree))


def gru(prefix: str, rows: int = 3) -> dict[str, Any]:
    return {f"{prefix}.weight_ih_l0": np.zeros((rows * 8, 4)), f"{prefix}.weight_hh_l0": np.zeros((rows * 8, 8))}


def test_names(drawn_weights: Draw) -> None:
    state_dict = drawn_weights(LSTMSpec(2, 3)).to_state_dict
    for tree, names in (
        (state_dict(), ["lstm"]),
        (state_dict("encoder.rnn"), ["encoder.rnn"]),
        ({"state_dict": state_dict("module.encoder.rnn"), "epoch": {}}, ["module.encoder.rnn"]),
        ({"a": {"encoder": state_dict(), "decoder": state_dict()}}, ["encoder", "decoder"]),
        ({"model": state_dict("rnn"), "ema": state_dict("rnn")}, ["model.rnn", "ema.rnn"]),
        ({"model": state_dict("rnn"), "ema": state_dict("rnn") | state_dict("head")}, ["model.rnn", "ema.rnn", "head"]),
        ({"x": {"m": state_dict("rnn")}, "y": {"m": state_dict("rnn")}}, ["x.m.rnn", "y.m.rnn"]),
        ({"x": state_dict("rnn"), "y": state_dict("rnn"), **state_dict("x.rnn")}, ["x.rnn", "y.rnn", "x.rnn:2"]),
    ):
        found = find(tree).lstms
        assert [each.name for each in found] == names
        assert not any(each.refused for each in found)
    assert find({"x": {"m": state_dict("rnn")}}).lstms[0].full_name == "x.m.rnn"


@pytest.mark.parametrize(
    "spec",
    [
        LSTMSpec(2, 3, num_layers=3, bidirectional=True, proj_size=2),
        LSTMSpec(2, 3, bias=False, precision="float16"),
        LSTMSpec(1, 1, precision="bfloat16"),
    ],
    ids=repr,
)
def test_weights_are_those_of_the_file(spec: LSTMSpec, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(spec)
    (found,) = find({"model": {"fc.weight": np.zeros((2, 2)), **weights.to_state_dict("rnn")}}).lstms
    assert found.weights is not None
    assert_same_weights(found.weights, weights)


def test_a_cell_is_found(drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    (found,) = find({k.replace("_l0", ""): v for k, v in weights.to_state_dict("decoder.cell").items()}).lstms
    assert found.name == "decoder.cell"
    assert found.weights is not None
    assert_same_weights(found.weights, weights)


def test_other_recurrent_cells_are_told_apart(drawn_weights: Draw) -> None:
    contents = find(gru("a") | gru("b.c", rows=1) | drawn_weights(LSTMSpec(2, 3)).to_state_dict("d"))
    assert [each.name for each in contents.lstms] == ["d"]
    assert contents.others == ["GRU a", "RNN b.c"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_hh_l0": None}, "^rnn.weight_hh_l0 is missing"),
        ({"weight_hh_l0": np.zeros((12, 5))}, r"^rnn.weight_hh_l0 has shape \(12, 5\)"),
        ({"bias_hh_l0": np.zeros(11)}, r"^rnn.bias_hh_l0 has shape \(11,\), expected \(12,\)"),
        ({"bias_hh_l0": np.full(12, np.nan)}, "^rnn.bias_hh_l0 holds NaN"),
        ({"weight_ih_l0": np.full((12, 2), -np.inf)}, "^rnn.weight_ih_l0 holds infinity"),
        ({"weight_ih_l0": np.zeros((12, 2), np.int8)}, "^rnn.weight_ih_l0 is stored as int8: a quantised LSTM"),
        ({"weight_ih_l0.absmax": np.zeros(3)}, r"^rnn.weight_ih_l0 is not stored plainly but as weight_ih_l0.absmax"),
        ({"weight_hh_l0": None, "weight_hh_l0_g": np.zeros(1), "weight_hh_l0_v": np.zeros(1)}, "weight_hh_l0_g .* weight_norm"),
        ({"parametrizations.weight_hh_l0.original0": np.zeros(1)}, "weight_hh_l0.original0 .* parametrizations"),
    ],
)
def test_what_is_not_taken_is_listed_with_its_reason(changes: dict[str, Any], message: str, drawn_weights: Draw) -> None:
    state_dict: dict[str, Any] = drawn_weights(LSTMSpec(2, 3)).to_state_dict("rnn")
    for name, value in changes.items():
        state_dict["rnn." + name] = value
    (found,) = find({key: value for key, value in state_dict.items() if value is not None}).lstms
    assert found.name == "rnn"
    assert found.weights is None
    with pytest.raises(ValueError, match=message):
        raise ValueError(found.refused)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("stale_copy", [False, True])
def test_weight_drop_gives_its_raw_weight(
    wrapped: bool, stale_copy: bool, drawn_weights: Draw, assert_same_weights: Same
) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    state_dict = weights.to_state_dict("rnns.0.module" if wrapped else "rnns.0")
    true = state_dict.pop("rnns.0.module.weight_hh_l0" if wrapped else "rnns.0.weight_hh_l0")
    if stale_copy:
        state_dict["rnns.0.module.weight_hh_l0" if wrapped else "rnns.0.weight_hh_l0"] = np.zeros_like(true)
    (found,) = find({"rnns.0.weight_hh_l0_raw": true, **state_dict}).lstms
    assert found.weights is not None
    assert_same_weights(found.weights, weights)


def test_weight_drop_around_a_bare_lstm(drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    state_dict = weights.to_state_dict("module")
    state_dict["weight_hh_l0_raw"] = state_dict.pop("module.weight_hh_l0")
    (found,) = find(state_dict).lstms
    assert found.weights is not None
    assert_same_weights(found.weights, weights)


def test_two_dtypes_become_the_wider(drawn_weights: Draw) -> None:
    state_dict = drawn_weights(LSTMSpec(2, 3, precision="float16")).to_state_dict("rnn")
    state_dict["rnn.bias_ih_l0"] = state_dict["rnn.bias_ih_l0"].astype(np.float32)
    (found,) = find(state_dict).lstms
    assert found.sizes == "I=2 H=3 L=1 D=1 float32"
