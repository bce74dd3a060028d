"""LSTM nodes of ONNX models: where they stand, what their weights come through, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, LSTMWeights
from lstm_parity.backends.weights import FoundLSTM, WeightsFileError, list_lstms, load_weights

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64

Draw = Callable[..., LSTMWeights]
Same = Callable[[LSTMWeights, LSTMWeights], None]


def lstm_tensors(weights: LSTMWeights, prefix: str = "") -> dict[str, Any]:
    return {prefix + k: v for k, v in zip("WRBP", weights.to_onnx(), strict=True) if v is not None}


def lstm_node(weights: LSTMWeights, prefix: str = "", x: str = "X", y: str = "Y", **attributes: Any) -> Any:
    given = lstm_tensors(weights)
    names = [x, *(prefix + letter if letter in given else "" for letter in ("W", "R", "B", "-", "-", "-", "P"))]
    while not names[-1]:
        names.pop()
    defaults = {
        "hidden_size": weights.layers[0][0].w_hh.shape[1],
        "direction": "bidirectional" if len(weights.layers[0]) == 2 else "forward",
    }
    return helper.make_node("LSTM", names, [y], **(defaults | attributes))


def initializers(tensors: dict[str, Any]) -> list[Any]:
    brain = onnx.TensorProto.BFLOAT16  # given as bits: not every release of onnx makes it of an array
    return [
        helper.make_tensor(name, brain, value.shape, value.tobytes(), raw=True)
        if value.dtype.name == "bfloat16"
        else numpy_helper.from_array(value, name)
        for name, value in tensors.items()
    ]


def constant(value: Any, name: str) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value)))


def save_model(path: Path, nodes: list[Any], tensors: dict[str, Any], opset: int = 21, functions: Any = ()) -> Path:
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("X", FLOAT, None), helper.make_tensor_value_info("flag", onnx.TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("Y", FLOAT, None)],
        initializers(tensors),
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=domains, functions=list(functions)).SerializeToString())
    return path


def only(path: Path) -> FoundLSTM:
    (found,) = list_lstms(path)
    return found


def taken(path: Path) -> LSTMWeights:
    found = only(path)
    assert not found.refused
    assert found.weights is not None
    return found.weights


@pytest.mark.parametrize(
    "spec",
    [
        LSTMSpec(2, 3),
        LSTMSpec(2, 3, bidirectional=True, peephole=True),
        LSTMSpec(2, 3, bias=False, peephole=True),
        LSTMSpec(2, 3, bias=False, precision="float16"),
        LSTMSpec(2, 3, precision="bfloat16"),
        LSTMSpec(1, 1, precision="float64"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("layout", [0, 1])
def test_initializers(spec: LSTMSpec, layout: int, tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(spec)
    loaded = load_weights(str(save_model(tmp_path / "m", [lstm_node(weights, layout=layout)], lstm_tensors(weights))))
    assert loaded.name == "Y"
    assert loaded.spec(spec.precision) == spec
    assert_same_weights(loaded.weights, weights)


def test_bfloat16_without_raw_data(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3, precision="bfloat16"))
    path = save_model(tmp_path / "m", [lstm_node(weights)], lstm_tensors(weights))
    model = onnx.load_model(path)
    for tensor in model.graph.initializer:
        bits = np.frombuffer(tensor.raw_data, np.uint16).tolist()
        tensor.ClearField("raw_data")
        tensor.int32_data.extend(bits)
    path.write_bytes(model.SerializeToString())
    assert_same_weights(taken(path), weights)


def test_a_model_without_hidden_size(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"])
    assert_same_weights(taken(save_model(tmp_path / "m", [node], lstm_tensors(weights))), weights)


def w_through(how: str, w: Any) -> tuple[list[Any], dict[str, Any]]:
    """Nodes that make W [D, 4H, I] of constants in one of the ways that exporters do, and their initializers."""
    d, rows, width = w.shape
    make = helper.make_node
    if how == "constant node":
        return [constant(w, "W")], {}
    if how == "constant floats":
        flat = make("Constant", [], ["a"], value_floats=w.ravel().tolist())
        return [flat, constant(np.array(w.shape), "s"), make("Reshape", ["a", "s"], ["W"])], {}
    if how == "identity chain":
        links = ["a", *(f"a{k}" for k in range(2000)), "W"]
        return [make("Identity", [before], [after]) for before, after in itertools.pairwise(links)], {"a": w}
    if how == "cast":
        return [make("Cast", ["a"], ["W"], to=FLOAT)], {"a": w.astype(np.float64)}
    if how == "reshape":
        return [make("Reshape", ["a", "s"], ["W"])], {"a": w.ravel(), "s": np.array([d, -1, width])}
    if how == "unsqueeze":
        return [make("Unsqueeze", ["a", "axes"], ["W"])], {"a": w[0], "axes": np.array([0])}
    if how == "squeeze and transpose":
        moved = [make("Squeeze", ["a", "axes"], ["b"]), make("Transpose", ["b"], ["W"], perm=[2, 1, 0])]
        return moved, {"a": w.T[None], "axes": np.array([0])}
    if how == "slice and concat":
        bounds = {"a": w, "s0": np.array([0]), "s1": np.array([rows]), "mid": np.array([rows // 2]), "axis": np.array([1])}
        halves = [make("Slice", ["a", "s0", "mid", "axis"], ["lo"]), make("Slice", ["a", "mid", "s1", "axis"], ["hi"])]
        return [*halves, make("Concat", ["lo", "hi"], ["W"], axis=1)], bounds
    if how == "split":
        return [make("Split", ["a"], ["W", "rest"], axis=0, num_outputs=2)], {"a": np.concatenate([w, w])}
    if how == "computed shape":
        made = [make("Shape", ["a"], ["s"]), make("ConstantOfShape", ["s"], ["zero"]), make("Add", ["zero", "a"], ["W"])]
        return made, {"a": w}
    raise AssertionError(how)


HOWS = ["constant node", "constant floats", "identity chain", "cast", "reshape", "unsqueeze", "squeeze and transpose"]


@pytest.mark.parametrize("how", [*HOWS, "slice and concat", "split", "computed shape"])
def test_weights_that_come_through_nodes(how: str, tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    tensors = lstm_tensors(weights)
    nodes, more = w_through(how, tensors.pop("W"))
    assert_same_weights(taken(save_model(tmp_path / "m", [*nodes, lstm_node(weights)], tensors | more)), weights)


def test_opset_11_keeps_axes_in_attributes(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    tensors = lstm_tensors(weights)
    tensors["a"] = tensors.pop("W")[0]
    nodes = [helper.make_node("Unsqueeze", ["a"], ["W"], axes=[0]), lstm_node(weights)]
    assert_same_weights(taken(save_model(tmp_path / "m", nodes, tensors, opset=11)), weights)


def branch(name: str, nodes: list[Any], tensors: dict[str, Any]) -> Any:
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info("out", FLOAT, None)], initializers(tensors))


def test_lstms_in_branches_with_weights_of_the_outer_graph(
    tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same
) -> None:
    one, two = drawn_weights(LSTMSpec(2, 3), seed=1), drawn_weights(LSTMSpec(2, 3), seed=2)
    outer = {"a": lstm_tensors(one)["W"]} | {k: v for k, v in lstm_tensors(one).items() if k != "W"}
    then = branch("then", [helper.make_node("Identity", ["a"], ["W"]), lstm_node(one, y="out", name="rnn")], {})
    other = branch("else", [lstm_node(two, prefix="q.", y="out", name="rnn")], lstm_tensors(two, "q."))
    node = helper.make_node("If", ["flag"], ["Y"], then_branch=then, else_branch=other)
    path = save_model(tmp_path / "m", [node], outer)
    found = {each.name: each for each in list_lstms(path)}
    assert sorted(found) == ["rnn", "rnn:2"]
    by_branch = {"rnn": load_weights(f"{path}#rnn"), "rnn:2": load_weights(f"{path}#rnn:2")}
    first = two if node.attribute[0].name == "else_branch" else one
    assert_same_weights(by_branch["rnn"].weights, first)
    assert_same_weights(by_branch["rnn:2"].weights, one if first is two else two)


def test_an_inner_name_hides_an_outer_one(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    inner, outer = drawn_weights(LSTMSpec(2, 3), seed=1), drawn_weights(LSTMSpec(2, 3), seed=2)
    then = branch("then", [lstm_node(inner, y="out")], lstm_tensors(inner))
    other = branch("else", [helper.make_node("Identity", ["X"], ["out"])], {})
    node = helper.make_node("If", ["flag"], ["Y"], then_branch=then, else_branch=other)
    assert_same_weights(taken(save_model(tmp_path / "m", [node], lstm_tensors(outer))), inner)


def test_an_lstm_in_a_loop_body(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    given = [
        helper.make_tensor_value_info("i", INT64, []),
        helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
        helper.make_tensor_value_info("carried", FLOAT, None),
    ]
    nodes = [lstm_node(weights, x="carried", y="out"), helper.make_node("Identity", ["go"], ["go_on"])]
    go_on = helper.make_tensor_value_info("go_on", onnx.TensorProto.BOOL, [])
    outputs = [go_on, helper.make_tensor_value_info("out", FLOAT, None)]
    body = helper.make_graph(nodes, "body", given, outputs)
    node = helper.make_node("Loop", ["", "flag", "X"], ["Y"], body=body)
    assert_same_weights(taken(save_model(tmp_path / "m", [node], lstm_tensors(weights))), weights)
    nodes[0].input[1] = "carried"
    node = helper.make_node("Loop", ["", "flag", "X"], ["Y"], body=helper.make_graph(nodes, "body", given, outputs))
    refused = only(save_model(tmp_path / "m", [node], lstm_tensors(weights))).refused
    assert refused == "its W: carried is an input of the graph body, no constant of the file"


def test_an_lstm_in_a_function_of_the_model(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    one, two = drawn_weights(LSTMSpec(2, 3), seed=1), drawn_weights(LSTMSpec(2, 3), seed=2)
    inner = helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], name="rnn", hidden_size=3)
    opsets = [helper.make_opsetid("", 21)]
    function = helper.make_function("local", "Net", ["x", "w", "r", "b"], ["y"], [inner], opsets)
    calls = [
        helper.make_node("Net", ["X", "W", "R", "B"], ["Y"], domain="local"),
        helper.make_node("Net", ["X", "q.W", "q.R", "q.B"], ["Y2"], domain="local"),
    ]
    tensors = lstm_tensors(one) | lstm_tensors(two, "q.")
    found = list_lstms(save_model(tmp_path / "m", calls, tensors, functions=[function]))
    assert len({each.name for each in found}) == 2
    for each, weights in zip(found, (one, two), strict=True):
        assert each.weights is not None
        assert_same_weights(each.weights, weights)


def test_external_data(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(20, 30))
    path = save_model(tmp_path / "m", [lstm_node(weights)], lstm_tensors(weights))
    onnx.save_model(onnx.load_model(path), str(path), save_as_external_data=True, location="m.data", size_threshold=0)
    assert_same_weights(taken(path), weights)
    (tmp_path / "m.data").unlink()
    assert only(path).refused.startswith("its W: W cannot be read: ")
    with pytest.raises(WeightsFileError, match=r"m: Y: its W: W cannot be read"):
        load_weights(str(path))


def test_a_stack_of_two_nodes_is_two_lstms(tmp_path: Path, drawn_weights: Draw) -> None:
    low, high = drawn_weights(LSTMSpec(2, 3)), drawn_weights(LSTMSpec(3, 3))
    nodes = [lstm_node(low, y="Y0", name="/rnn/LSTM"), lstm_node(high, prefix="h.", x="Y0")]
    path = save_model(tmp_path / "m", nodes, lstm_tensors(low) | lstm_tensors(high, "h."))
    with pytest.raises(WeightsFileError) as caught:
        load_weights(str(path))
    assert str(caught.value).endswith("/rnn/LSTM (I=2 H=3 L=1 D=1 float32), Y (I=3 H=3 L=1 D=1 float32)")
    assert load_weights(f"{path}#/rnn/LSTM").spec("float32") == LSTMSpec(2, 3)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"direction": "reverse"}, "direction=reverse: an LSTM that only runs backwards"),
        ({"direction": "sideways"}, "direction=sideways"),
        ({"direction": "bidirectional"}, "its W has 1 directions, which contradicts direction=bidirectional"),
        ({"hidden_size": 4}, "its R has hidden size 3, which contradicts hidden_size=4"),
        ({"activations": ["Sigmoid", "Tanh", "Relu"]}, "activations=sigmoid,tanh,relu"),
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "activations=hardsigmoid,tanh,tanh"),
        ({"clip": 3.0}, "clip=3.0"),
        ({"input_forget": 1}, "input_forget=1"),
    ],
)
def test_attributes_that_make_it_another_lstm(
    attributes: dict[str, Any], message: str, tmp_path: Path, drawn_weights: Draw
) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    found = only(save_model(tmp_path / "m", [lstm_node(weights, **attributes)], lstm_tensors(weights)))
    assert found.weights is None
    assert found.refused.startswith(message)


def test_default_activations_spelled_out(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(LSTMSpec(2, 3, bidirectional=True))
    node = lstm_node(weights, activations=["Sigmoid", "Tanh", "Tanh"] * 2, input_forget=0)
    assert_same_weights(taken(save_model(tmp_path / "m", [node], lstm_tensors(weights))), weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W": np.zeros((1, 13, 2), np.float32)}, r"W has shape (1, 13, 2), expected [D, 4H, I]"),
        ({"R": np.zeros((1, 12, 4), np.float32)}, r"R has shape (1, 12, 4), expected (1, 12, 3)"),
        ({"B": np.zeros((1, 12), np.float32)}, r"B has shape (1, 12), expected (1, 24)"),
        ({"R": np.full((1, 12, 3), np.nan, np.float32)}, "its R: R holds NaN"),
        ({"B": np.full((1, 24), np.inf, np.float32)}, "its B: B holds infinity"),
        ({"W": np.zeros((1, 12, 2), np.int8)}, "its W: W has dtype int8"),
        ({"W": np.full((1, 12, 2), "x")}, "its W: W has dtype"),
        ({"W": None}, "its W: W is nowhere in the model"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: dict[str, Any], message: str, tmp_path: Path, drawn_weights: Draw) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    tensors = {k: v for k, v in (lstm_tensors(weights) | change).items() if v is not None}
    assert only(save_model(tmp_path / "m", [lstm_node(weights)], tensors)).refused.startswith(message)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Identity", ["X"], ["W"])], "its W: X is an input of the graph main, no constant"),
        ([helper.make_node("MatMul", ["X", "a"], ["W"])], "its W: W is computed at run time, by MatMul"),
        ([helper.make_node("RandomNormal", [], ["W"], shape=[1, 12, 2])], "its W: W is computed at run time, by RandomNormal"),
        ([helper.make_node("DequantizeLinear", ["a", "s"], ["W"])], "its W: W comes from DequantizeLinear: a quantised LSTM"),
        ([helper.make_node("Identity", ["W"], ["W"])], "its W: "),
        ([helper.make_node("Identity", ["b"], ["W"]), helper.make_node("Identity", ["a"], ["b"])], "its W: b is used before"),
        ([helper.make_node("Reshape", ["a", "s"], ["W"])], "its W: W cannot be computed from its constants: "),
        ([helper.make_node("ConstantOfShape", ["large"], ["W"])], "its W: W has more than "),
    ],
)
def test_weights_that_the_file_does_not_say(nodes: list[Any], message: str, tmp_path: Path, drawn_weights: Draw) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    tensors = lstm_tensors(weights)
    tensors |= {"a": tensors.pop("W").astype(np.int8), "s": np.array([0.5], np.float32), "large": np.array([10**9, 10**9])}
    found = only(save_model(tmp_path / "m", [*nodes, lstm_node(weights)], tensors))
    assert found.weights is None
    assert found.refused.startswith(message)


def test_a_sparse_weight_is_refused(tmp_path: Path, drawn_weights: Draw) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    tensors = lstm_tensors(weights)
    del tensors["W"]
    path = save_model(tmp_path / "m", [lstm_node(weights)], tensors)
    model = onnx.load_model(path)
    values, places = numpy_helper.from_array(np.ones(2, np.float32), "W"), numpy_helper.from_array(np.array([0, 3]), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1, 12, 2]))
    path.write_bytes(model.SerializeToString())
    assert only(path).refused == "its W: W is stored as a sparse tensor, which is not read"


def test_lstms_of_other_domains_are_said_and_refused(tmp_path: Path) -> None:
    node = helper.make_node("DynamicQuantizeLSTM", ["X", "W", "R"], ["Y"], name="q", domain="com.microsoft", hidden_size=3)
    path = save_model(tmp_path / "m", [node], {})
    assert only(path).refused == "it is DynamicQuantizeLSTM of com.microsoft, a quantised LSTM, which is not read"
    with pytest.raises(WeightsFileError, match="q: it is DynamicQuantizeLSTM"):
        load_weights(str(path))


def test_a_model_with_gru_only(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m", [helper.make_node("GRU", ["X", "W", "R"], ["Y"], name="dec", hidden_size=3)], {})
    with pytest.raises(WeightsFileError, match=r"there is no LSTM in it \(it has GRU dec\)"):
        load_weights(str(path))


def test_names_cannot_break_the_line(tmp_path: Path, drawn_weights: Draw) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    path = save_model(tmp_path / "m", [lstm_node(weights, name="a\nb\x1b[31m", clip=1.0)], lstm_tensors(weights))
    with pytest.raises(WeightsFileError) as caught:
        load_weights(str(path))
    assert str(caught.value).isprintable()
