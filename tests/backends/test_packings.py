from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights, load_backend
from lstm_parity.backends.packings import recurrent_kind
from lstm_parity.backends.problem import Precision

TWO_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
SPECS = [
    LSTMSpec(5, 7, num_layers=layers, bidirectional=two, proj_size=p, bias=bias, precision=precision)
    for layers, two, p, bias, precision in itertools.product((1, 3), (False, True), (0, 3), (False, True), TWO_PRECISIONS)
] + [LSTMSpec(1, 1), LSTMSpec(1, 1, num_layers=2, bidirectional=True, precision="float16"), LSTMSpec(2, 3, precision="float64")]


def random_lstm(spec: LSTMSpec, seed: int = 0) -> LSTMWeights:
    rng = np.random.default_rng(seed)
    layers = []
    for layer in range(spec.num_layers):
        shapes = {name: shape for name, shape in spec.weight_shapes(layer).items() if shape is not None}
        layers.append(
            tuple(
                DirectionWeights(**{name: rng.normal(size=shape).astype(spec.dtype) for name, shape in shapes.items()})
                for _ in range(spec.num_directions)
            )
        )
    return LSTMWeights(tuple(layers))


def assert_equal_weights(left: LSTMWeights, right: LSTMWeights) -> None:
    assert [name for name, _ in left.items()] == [name for name, _ in right.items()]
    for (name, a), (_, b) in zip(left.items(), right.items(), strict=True):
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@pytest.mark.parametrize("prefix", ["", "encoder.rnn", "encoder.rnn."])
def test_state_dict_round_trip(spec: LSTMSpec, prefix: str) -> None:
    weights = random_lstm(spec)
    state_dict = weights.to_state_dict(prefix)
    assert all(name.startswith(prefix) for name in state_dict)
    assert_equal_weights(
        LSTMWeights.from_state_dict({**state_dict, "head.weight": 0, "other.weight_ih_l9": None}, prefix), weights
    )


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_state_dict_is_that_of_torch(spec: LSTMSpec) -> None:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(
        spec.input_size,
        spec.hidden_size,
        spec.num_layers,
        spec.bias,
        bidirectional=spec.bidirectional,
        proj_size=spec.proj_size,
    ).to(getattr(torch, spec.precision))
    theirs = lstm.state_dict()
    weights = LSTMWeights.from_state_dict(theirs)
    assert weights.infer_spec(spec.precision) == spec
    ours = weights.to_state_dict()
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name].astype(np.float64), tensor.double().numpy(), err_msg=name)


def test_lstm_cell() -> None:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    cell = torch.nn.LSTMCell(3, 4)
    weights = LSTMWeights.from_state_dict(cell.state_dict())
    assert weights.infer_spec() == LSTMSpec(3, 4)
    np.testing.assert_array_equal(weights.layers[0][0].w_hh, cell.weight_hh.detach().numpy())
    np.testing.assert_array_equal(weights.layers[0][0].b_ih, cell.bias_ih.detach().numpy())


def test_state_dict_values_are_copied() -> None:
    state_dict = random_lstm(LSTMSpec(3, 4)).to_state_dict()
    weights = LSTMWeights.from_state_dict(state_dict)
    before = weights.layers[0][0].w_ih.copy()
    state_dict["weight_ih_l0"][:] = 7
    np.testing.assert_array_equal(weights.layers[0][0].w_ih, before)


def test_a_torch_tensor_is_copied_too() -> None:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    for dtype in (torch.float32, torch.bfloat16):
        lstm = torch.nn.LSTM(3, 4).to(dtype)
        weights = LSTMWeights.from_state_dict(dict(lstm.named_parameters()))
        before = weights.layers[0][0].w_ih.copy()
        with torch.no_grad():
            lstm.weight_ih_l0.fill_(7)
        np.testing.assert_array_equal(weights.layers[0][0].w_ih, before)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"weight_hh_l0": None}, r"^r\.weight_hh_l0 is missing"),
    ({"weight_ih_l0": None}, r"^r\.weight_ih_l0 is missing"),
    ({"bias_hh_l0_reverse": None}, r"^r\.bias_hh_l0_reverse is missing, expected shape \(28,\)"),
    ({"weight_hr_l1": None}, r"^r\.weight_hr_l1 is missing, expected shape \(3, 7\)"),
    ({"weight_ih_l4": np.zeros((28, 6))}, r"^r\.weight_ih_l3 is missing, expected shape \(28, 6\)"),
    ({"weight_ih_l1": np.zeros((28, 5))}, r"^r\.weight_ih_l1 has shape \(28, 5\), expected \(28, 6\)"),
    ({"bias_ih_l0": np.zeros((1, 28))}, r"^r\.bias_ih_l0 has shape \(1, 28\), expected \(28,\)"),
    ({"weight_ih_l0": np.zeros((27, 5))}, r"^r\.weight_ih_l0 has shape \(27, 5\), expected \[4H, I\]"),
    ({"weight_ih_l0": np.zeros(28)}, r"^r\.weight_ih_l0 has shape \(28,\)"),
    ({"weight_hh_l0": np.zeros((28, 0))}, r"^r\.weight_hh_l0 has shape \(28, 0\)"),
    ({"weight_hh_l0": np.zeros((32, 3))}, r"^r\.weight_hh_l0 has shape \(32, 3\), expected \(28, 3\)"),
    ({"weight_hr_l0": np.zeros((8, 7))}, r"^r\.weight_hr_l0 has shape \(8, 7\), expected \[P, H\]"),
    ({"weight_hr_l0": np.zeros(7)}, r"^r\.weight_hr_l0 has shape \(7,\)"),
    ({"bias_ih_l0": np.zeros(28, np.int8)}, r"^r\.bias_ih_l0 has dtype int8, expected float64"),
    ({"bias_ih_l0": ["a"]}, r"^r\.bias_ih_l0 has dtype"),
    ({"bias_ih_l0": [[1.0], [1.0, 2.0]]}, r"^r\.bias_ih_l0 cannot be read as an array"),
    ({"weight_ih": np.zeros((28, 5))}, "share one prefix"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_state_dict_names_the_entry(change: dict[str, Any], message: str) -> None:
    spec = LSTMSpec(5, 7, num_layers=3, bidirectional=True, proj_size=3)
    state_dict = random_lstm(spec).to_state_dict("r")
    for name, value in change.items():
        if value is None:
            del state_dict["r." + name]
        else:
            state_dict["r." + name] = value
    with pytest.raises(ValueError, match=message) as caught:
        LSTMWeights.from_state_dict(state_dict, "r")
    assert "\n" not in str(caught.value)


def test_a_wrong_prefix_says_which_there_are() -> None:
    with pytest.raises(ValueError, match=r"no weight_ih_l0 .* prefix 'a\.rnn\.'"):
        LSTMWeights.from_state_dict(random_lstm(LSTMSpec(2, 3)).to_state_dict("a.rnn"))


@pytest.mark.parametrize(("kind", "rows"), [("GRU", 3), ("RNN", 1)])
def test_another_recurrent_cell_is_not_taken(kind: str, rows: int) -> None:
    state_dict = {"weight_ih_l0": np.zeros((rows * 8, 4)), "weight_hh_l0": np.zeros((rows * 8, 8))}
    with pytest.raises(ValueError, match=f"of a {kind}"):
        LSTMWeights.from_state_dict(state_dict)


def test_recurrent_kind() -> None:
    assert recurrent_kind((28, 7)) == "LSTM"
    assert recurrent_kind((21, 7)) == "GRU"
    assert recurrent_kind((7, 7)) == "RNN"
    assert recurrent_kind((28, 3), (3, 7)) == "LSTM"
    assert recurrent_kind((28, 3)) == ""
    assert recurrent_kind((4, 1)) == "LSTM"
    for wrong in ((), (4,), (4, 0), (29, 7), (14, 7)):
        assert recurrent_kind(wrong) == ""


def test_peepholes_cannot_be_said_in_a_state_dict() -> None:
    with pytest.raises(ValueError, match="no peepholes"):
        random_lstm(LSTMSpec(2, 3, peephole=True)).to_state_dict()


ONNX_SPECS = [
    LSTMSpec(5, 7, bidirectional=two, bias=bias, peephole=peephole, precision=precision)
    for two, bias, peephole, precision in itertools.product((False, True), (False, True), (False, True), TWO_PRECISIONS)
] + [LSTMSpec(1, 1, peephole=True, precision="float64")]


@pytest.mark.parametrize("spec", ONNX_SPECS, ids=repr)
def test_onnx_round_trip(spec: LSTMSpec) -> None:
    weights = random_lstm(spec)
    W, R, B, P = weights.to_onnx()
    d, h = spec.num_directions, spec.hidden_size
    assert W.shape == (d, 4 * h, spec.input_size)
    assert R.shape == (d, 4 * h, h)
    assert (None if B is None else B.shape) == ((d, 8 * h) if spec.bias else None)
    assert (None if P is None else P.shape) == ((d, 3 * h) if spec.peephole else None)
    assert_equal_weights(LSTMWeights.from_onnx(W, R, B, P), weights)


def test_onnx_orders_by_hand() -> None:
    # H = 1, so each gate is one row: ONNX's i, o, f, c are 1, 2, 3, 4 and its peepholes i, o, f are 5, 6, 7.
    gates = np.array([1.0, 2.0, 3.0, 4.0])
    weights = LSTMWeights.from_onnx(
        gates.reshape(1, 4, 1), 10 * gates.reshape(1, 4, 1), np.concatenate([gates, -gates])[None], np.array([[5.0, 6.0, 7.0]])
    ).layers[0][0]
    assert weights.w_ih.ravel().tolist() == [1, 3, 4, 2]  # i, f, g, o
    assert weights.w_hh.ravel().tolist() == [10, 30, 40, 20]
    assert weights.b_ih is not None
    assert weights.b_hh is not None
    assert weights.peephole is not None
    assert weights.b_ih.tolist() == [1, 3, 4, 2]
    assert weights.b_hh.tolist() == [-1, -3, -4, -2]
    assert weights.peephole.ravel().tolist() == [5, 7, 6]


def test_any_layer_of_a_stack_to_onnx() -> None:
    weights = random_lstm(LSTMSpec(2, 3, num_layers=3, bidirectional=True))
    for layer in range(3):
        assert_equal_weights(LSTMWeights.from_onnx(*weights.to_onnx(layer)), LSTMWeights((weights.layers[layer],)))
    for layer in (-1, 3):
        with pytest.raises(ValueError, match=r"layer must lie in 0\.\.2"):
            weights.to_onnx(layer)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (((1, 13, 2), (1, 12, 3), None, None), r"^W has shape \(1, 13, 2\)"),
        (((3, 12, 2), (3, 12, 3), None, None), r"^W has shape \(3, 12, 2\)"),
        (((12, 2), (12, 3), None, None), r"^W has shape \(12, 2\)"),
        (((1, 12, 0), (1, 12, 3), None, None), r"^W has shape \(1, 12, 0\)"),
        (((1, 12, 2), (2, 12, 3), None, None), r"^R has shape \(2, 12, 3\), expected \(1, 12, 3\)"),
        (((1, 12, 2), (1, 12, 3), (1, 12), None), r"^B has shape \(1, 12\), expected \(1, 24\)"),
        (((1, 12, 2), (1, 12, 3), None, (1, 12)), r"^P has shape \(1, 12\), expected \(1, 9\)"),
    ],
)
def test_ill_shaped_onnx_tensors_are_named(tensors: tuple[tuple[int, ...] | None, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LSTMWeights.from_onnx(*(None if shape is None else np.zeros(shape) for shape in tensors))


def test_projection_cannot_be_said_in_onnx() -> None:
    with pytest.raises(ValueError, match="no projection"):
        random_lstm(LSTMSpec(2, 3, proj_size=1)).to_onnx()


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))  # type: ignore[no-any-return]


def run_onnx_lstm(weights: LSTMWeights, x: np.ndarray) -> np.ndarray:
    """y [T, B, D*H] of onnx's reference evaluator, from the zero state."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    from onnx.reference import ReferenceEvaluator

    feeds = {"X": x} | {k: v for k, v in zip("WRBP", weights.to_onnx(), strict=True) if v is not None}
    d, h = len(weights.layers[0]), weights.layers[0][0].w_hh.shape[1]
    inputs = ["X", "W", "R", "B" if "B" in feeds else "", "", "", "", "P" if "P" in feeds else ""]
    direction = "bidirectional" if d == 2 else "forward"
    node = onnx.helper.make_node("LSTM", inputs, ["Y"], hidden_size=h, direction=direction)
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info(k, onnx.TensorProto.DOUBLE, v.shape) for k, v in feeds.items()],
        [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.DOUBLE, None)],
    )
    y = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, feeds)[0]  # [T, D, B, H]
    return y.transpose(0, 2, 1, 3).reshape(*x.shape[:2], d * h)  # type: ignore[no-any-return]


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_onnx_and_torch_compute_the_same_from_converted_weights(two: bool, bias: bool) -> None:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    weights = random_lstm(LSTMSpec(5, 7, bidirectional=two, bias=bias, precision="float64"), seed=3)
    x = np.random.default_rng(4).normal(size=(6, 3, 5))
    lstm = torch.nn.LSTM(5, 7, bias=bias, bidirectional=two).double()
    lstm.load_state_dict({name: torch.from_numpy(array) for name, array in weights.to_state_dict().items()})
    with torch.no_grad():
        theirs = lstm(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(run_onnx_lstm(weights, x), theirs, rtol=0, atol=1e-12)


def test_onnx_computes_the_equations_with_peepholes() -> None:
    weights = random_lstm(LSTMSpec(5, 7, peephole=True, precision="float64"), seed=5)
    w = weights.layers[0][0]
    assert w.b_ih is not None
    assert w.b_hh is not None
    assert w.peephole is not None
    x = np.random.default_rng(6).normal(size=(6, 3, 5))
    h = c = np.zeros((3, 7))
    expected = []
    for step in x:
        i, f, g, o = np.split(step @ w.w_ih.T + h @ w.w_hh.T + w.b_ih + w.b_hh, 4, axis=1)
        c_new = sigmoid(f + w.peephole[1] * c) * c + sigmoid(i + w.peephole[0] * c) * np.tanh(g)
        h = sigmoid(o + w.peephole[2] * c_new) * np.tanh(c_new)
        c = c_new
        expected.append(h)
    np.testing.assert_allclose(run_onnx_lstm(weights, x), np.stack(expected), rtol=0, atol=1e-12)


def test_widen_loses_nothing() -> None:
    half, brain = np.float16(1 / 3), np.array(3e38, ml_dtypes.bfloat16)
    mixed = LSTMWeights(((DirectionWeights(np.full((4, 1), half), np.full((4, 1), brain)),),))
    wide = mixed.widened().layers[0][0]
    assert wide.w_ih.dtype == wide.w_hh.dtype == np.float32
    assert wide.w_ih[0, 0] == np.float32(half)
    assert wide.w_hh[0, 0] == np.float32(brain)
    same = LSTMWeights(((DirectionWeights(np.full((4, 1), half), np.full((4, 1), half)),),))
    assert same.widened() is same


def test_the_lectures_gates_there_and_back():
    """One step by the lecture's own formulas on [a<t-1>, x<t>], against the packed weights."""
    rng = np.random.default_rng(6)
    gates = [rng.standard_normal((4, 7)) for _ in range(4)] + [rng.standard_normal(4) for _ in range(4)]
    weights = LSTMWeights.from_gates(*gates)
    for given, back in zip(gates, weights.to_gates(), strict=True):
        np.testing.assert_array_equal(given, back)
    w_c, w_u, w_f, w_o, b_c, b_u, b_f, b_o = gates
    a, c, x = rng.standard_normal(4), rng.standard_normal(4), rng.standard_normal(3)
    both = np.concatenate([a, x])
    update, forget, output = (1 / (1 + np.exp(-(w @ both + b))) for w, b in ((w_u, b_u), (w_f, b_f), (w_o, b_o)))
    new_c = update * np.tanh(w_c @ both + b_c) + forget * c
    spec = weights.infer_spec("float64")
    y, last = load_backend("numpy")(spec, weights).forward(x[None, None], LSTMState(a[None, None], c[None, None]))
    np.testing.assert_allclose(last.c[0, 0], new_c, rtol=0, atol=1e-14)
    np.testing.assert_allclose(y[0, 0], output * np.tanh(new_c), rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match=r"w_o has shape \(4, 6\)"):
        LSTMWeights.from_gates(w_c, w_u, w_f, w_o[:, 1:], b_c, b_u, b_f, b_o)
