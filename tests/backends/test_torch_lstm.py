"""torch-cpu against the NumPy reference, and whose memory is whose: above 400 lines, since all share one maker of problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_parity.backends.interface import UnsupportedError
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.backends.problem import Array, DirectionWeights, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.torch_lstm import TorchCPULSTM, TorchCuDNNLSTM

BACKENDS = [
    pytest.param(TorchCPULSTM, id="torch-cpu"),
    pytest.param(TorchCuDNNLSTM, id="torch-cudnn", marks=pytest.mark.gpu),
]
REGIMES = {"spread": (1.5, 0.5), "default": (0.6, 0.3), "saturated": (1.5, 20), "subnormal": (1e-39, 1e-39), "zero": (0, 0)}
"""Spread of the weights (times 1/sqrt(fan-in)) and of the biases. All are well conditioned: with weights of 40, one ulp in a
weight moves float64 gradients by 1e-9 of themselves, and agreement would show nothing."""


@pytest.fixture(scope="module")
def torch() -> Iterator[Any]:
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the problems are tiny; threads that wait for each other are most of the time on a busy machine
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest, torch: Any) -> type[TorchCPULSTM] | type[TorchCuDNNLSTM]:
    if reason := request.param.unavailable():
        pytest.skip(f"UNVERIFIED: {reason}")
    backend: type[TorchCPULSTM] | type[TorchCuDNNLSTM] = request.param
    return backend


@dataclass(frozen=True)
class Case:
    """What replays a problem: its repr is the test's counterexample."""

    spec: LSTMSpec
    steps: int
    batch: int
    lengths: tuple[int, ...] | None = None
    regime: str = "spread"
    seed: int = 0


@dataclass(frozen=True)
class Drawn:
    """The host arrays of a case, in the storage dtype."""

    weights: LSTMWeights
    x: Array
    state: LSTMState
    lengths: Array | None
    grad_y: Array
    grad_state: LSTMState


def draw_arrays(case: Case) -> Drawn:
    spec, rng = case.spec, np.random.default_rng(case.seed)
    gain, bias = {
        "spread": (1.5, 0.5),
        "default": (0.6, 0.3),
        "saturated": (1.5, 20),
        "subnormal": (1e-39, 1e-39),
        "zero": (0, 0),
    }[case.regime]

    def normal(*shape: int, scale: float = 1) -> Array:
        return (rng.standard_normal(shape) * scale).astype(spec.dtype)

    def direction(layer: int) -> DirectionWeights:
        shapes = {name: shape for name, shape in spec.weight_shapes(layer).items() if shape is not None}
        return DirectionWeights(
            **{n: normal(*s, scale=bias if n[0] == "b" else gain / np.sqrt(s[-1])) for n, s in shapes.items()}
        )

    def state() -> LSTMState:
        rows = spec.num_layers * spec.num_directions
        return LSTMState(normal(rows, case.batch, spec.state_size, scale=0.5), normal(rows, case.batch, spec.hidden_size))

    weights = LSTMWeights(tuple(tuple(direction(l) for _ in range(spec.num_directions)) for l in range(spec.num_layers)))
    x, first = normal(case.steps, case.batch, spec.input_size), state()
    lengths = None if case.lengths is None else np.array(case.lengths, np.int64)
    return Drawn(weights, x, first, lengths, normal(case.steps, case.batch, spec.output_size), state())


def on_device(lstm: Any, drawn: Drawn) -> tuple[Any, LSTMState, Any, LSTMState]:
    """x, state, grad_y and grad_state as the backend's arrays."""
    put, state, grad = lstm.to_device, drawn.state, drawn.grad_state
    return put(drawn.x), LSTMState(put(state.h), put(state.c)), put(drawn.grad_y), LSTMState(put(grad.h), put(grad.c))


def by_name(grads: LSTMGradients) -> dict[str, Any]:
    """Every gradient, named by what it is the gradient of."""
    weights = {
        f"grad layers[{l}][{d}].{name}": array
        for l, layer in enumerate(grads.weights.layers)
        for d, direction in enumerate(layer)
        for name, array in vars(direction).items()
        if array is not None
    }
    return {"grad x": grads.x, "grad h0": grads.h0, "grad c0": grads.c0, **weights}


def compute(backend: Any, spec: LSTMSpec, drawn: Drawn, training: bool = True) -> dict[str, Array]:
    """Every result of one call, by name, as host arrays."""
    lstm = backend(spec, drawn.weights)
    x, first, grad_y, grad_state = on_device(lstm, drawn)
    y, state = lstm.forward(x, first, drawn.lengths, training)
    results = {"y": y, "h_n": state.h, "c_n": state.c}
    if training:
        results |= by_name(lstm.backward(grad_y, grad_state))
    return {name: np.array(lstm.to_host(array)) for name, array in results.items()}


def expected(case: Case, drawn: Drawn) -> dict[str, Array]:
    """The same from the reference in float64, on the same values."""
    wide = replace(case.spec, precision="float64")

    def widen(value: Any) -> Any:
        return LSTMState(widen(value.h), widen(value.c)) if isinstance(value, LSTMState) else value.astype(np.float64)

    arrays = {name: value if name == "lengths" else widen(value) for name, value in vars(drawn).items()}
    return compute(NumpyLSTM, wide, Drawn(**arrays))


def assert_close(found: dict[str, Array], wanted: dict[str, Array], tolerance: float) -> None:
    assert list(found) == list(wanted)
    for name, reference in wanted.items():
        assert found[name].shape == reference.shape, name
        error = np.abs(found[name].astype(np.float64) - reference).max()
        assert error <= tolerance * max(1, np.abs(reference).max()), f"{name} is off by {error:.3g}"  # NaN fails too


@st.composite
def cases(draw: st.DrawFn, precisions: tuple[str, ...], regimes: tuple[str, ...] = tuple(REGIMES)) -> Case:
    small = st.integers(1, 9)
    hidden = draw(small)
    spec = LSTMSpec(
        input_size=draw(small),
        hidden_size=hidden,
        num_layers=draw(st.integers(1, 3)),
        bidirectional=draw(st.booleans()),
        proj_size=draw(st.integers(0, hidden - 1)),
        bias=draw(st.booleans()),
        precision=draw(st.sampled_from(precisions)),
    )
    steps, batch = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    lengths = draw(st.none() | st.tuples(*[st.integers(0, steps)] * batch))
    return Case(spec, steps, batch, lengths, draw(st.sampled_from(regimes)), draw(st.integers(0, 2**32 - 1)))


@settings(max_examples=150, deadline=None)
@given(case=cases(("float64",)))
def test_float64_agrees_with_the_reference(backend: Any, case: Case) -> None:
    drawn = draw_arrays(case)
    assert_close(compute(backend, case.spec, drawn), expected(case, drawn), 1e-11)


TOLERANCES = {"float32": 2e-5, "tf32": 2e-2, "float16": 2e-2, "bfloat16": 1e-1}


@settings(max_examples=100, deadline=None)
@given(case=cases(tuple(TOLERANCES), ("default", "subnormal", "zero")))
def test_other_precisions_are_near_the_reference(backend: Any, case: Case) -> None:
    drawn = draw_arrays(case)
    found = compute(backend, case.spec, drawn)
    assert {array.dtype for array in found.values()} == {case.spec.dtype}
    assert_close(found, expected(case, drawn), TOLERANCES[case.spec.precision])


@settings(max_examples=60, deadline=None)
@given(case=cases(("float64", "float32", "bfloat16"), ("default",)))
def test_inference_and_training_give_the_same(backend: Any, case: Case) -> None:
    drawn = draw_arrays(case)
    inference = compute(backend, case.spec, drawn, training=False)
    training = {name: a for name, a in compute(backend, case.spec, drawn).items() if name in inference}
    assert_close(inference, training, {"float64": 1e-12, "float32": 2e-6, "bfloat16": 5e-2}[case.spec.precision])


SPEC = LSTMSpec(3, 5, num_layers=2, bidirectional=True)
RAGGED = Case(SPEC, steps=6, batch=4, lengths=(4, 0, 5, 1), seed=1)  # 6 itself does not occur


@settings(max_examples=40, deadline=None)
@given(case=cases(("float64", "float32", "float16"), ("default",)))
def test_padding_is_never_read(backend: Any, case: Case) -> None:
    if case.lengths is None:
        case = replace(case, lengths=tuple(b % (case.steps + 1) for b in range(case.batch)))
    drawn = draw_arrays(case)
    clean = compute(backend, case.spec, drawn)
    assert drawn.lengths is not None
    padding = np.arange(case.steps)[:, None] >= drawn.lengths
    drawn.x[padding] = drawn.grad_y[padding] = np.nan
    dirty = compute(backend, case.spec, drawn)
    for name, array in clean.items():
        np.testing.assert_array_equal(dirty[name], array, err_msg=name)
    assert not clean["y"][padding].any()
    assert not clean["grad x"][padding].any()


@pytest.mark.parametrize("lengths", [(0, 0, 0, 0), (4, 0, 5, 1)])
def test_a_row_of_length_0_hands_its_state_and_gradient_through(backend: Any, lengths: tuple[int, ...]) -> None:
    drawn = draw_arrays(Case(SPEC, 6, 4, lengths))
    found = compute(backend, SPEC, drawn)
    empty = np.array(lengths) == 0
    for name, given_array in (
        ("h_n", drawn.state.h),
        ("c_n", drawn.state.c),
        ("grad h0", drawn.grad_state.h),
        ("grad c0", drawn.grad_state.c),
    ):
        np.testing.assert_array_equal(found[name][:, empty], given_array[:, empty], err_msg=name)
    assert not found["y"][:, empty].any()
    assert not found["grad x"][:, empty].any()


def test_pytorch_619_a_strided_upstream_gradient_counts_in_full(backend: Any, torch: Any) -> None:
    drawn = draw_arrays(Case(SPEC, 6, 4))
    lstm = backend(SPEC, drawn.weights)
    x, state, _, grad_state = on_device(lstm, drawn)
    row = lstm.to_device(drawn.grad_y[:1])
    transposed = lstm.to_device(drawn.grad_y.transpose(2, 1, 0)).permute(2, 1, 0)
    sliced = torch.stack([lstm.to_device(drawn.grad_y)] * 2, dim=-1)[..., 1]
    sparse_state = LSTMState(*(torch.stack([a] * 2, dim=-1)[..., 1] for a in (grad_state.h, grad_state.c)))
    for grad_y in (row.expand(6, -1, -1), transposed, sliced):
        found = []
        for form in ((grad_y, sparse_state), (grad_y.contiguous(), grad_state)):
            assert form[0].is_contiguous() == form[1].h.is_contiguous() == (form[1] is grad_state)
            lstm.forward(x, state, training=True)
            found.append(by_name(lstm.backward(*form)))
        for name, strided in found[0].items():
            assert strided.any(), name
            torch.testing.assert_close(strided, found[1][name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("proj_size", [0, 2])
@pytest.mark.parametrize("lengths", [None, (4, 0, 5, 1)])
def test_strided_inputs_are_read_as_they_are_and_not_written(
    backend: Any, torch: Any, precision: Any, proj_size: int, lengths: Any
) -> None:
    spec = LSTMSpec(3, 5, num_layers=2, proj_size=proj_size, precision=precision)
    drawn = draw_arrays(Case(spec, 6, 4, lengths))
    lstm = backend(spec, drawn.weights)

    def strided(array: Array) -> Any:
        wide = torch.stack([lstm.to_device(array.transpose(1, 0, 2))] * 2, dim=-1)
        return wide[..., 1].transpose(0, 1)

    plain = [lstm.to_device(a) for a in (drawn.x, drawn.state.h, drawn.state.c)]
    odd = [strided(a) for a in (drawn.x, drawn.state.h, drawn.state.c)]
    for training in (False, True):
        y, state = lstm.forward(plain[0], LSTMState(*plain[1:]), drawn.lengths, training)
        y2, state2 = lstm.forward(odd[0], LSTMState(*odd[1:]), drawn.lengths, training)
        for a, b in ((y, y2), (state.h, state2.h), (state.c, state2.c)):
            torch.testing.assert_close(a, b, rtol=0, atol={"float64": 1e-14, "float32": 1e-6}.get(precision, 2e-2))
    lstm.backward(torch.zeros_like(y), state)
    for tensor, array in zip([*plain, *odd], [drawn.x, drawn.state.h, drawn.state.c] * 2, strict=True):
        np.testing.assert_array_equal(lstm.to_host(tensor), array)
        assert not tensor.requires_grad


@pytest.mark.parametrize("lengths", [None, (0, 0), (2, 0), (2, 1), (2, 2)])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "spec",
    [
        LSTMSpec(2, 3, precision="float64"),
        LSTMSpec(2, 3),
        LSTMSpec(2, 3, 2, True, precision="bfloat16"),
        LSTMSpec(2, 3, proj_size=1, bias=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("steps", [1, 2])
def test_what_is_returned_belongs_to_the_caller(
    backend: Any, torch: Any, spec: LSTMSpec, training: bool, lengths: Any, steps: int
) -> None:
    if lengths is not None:
        lengths = tuple(min(n, steps) for n in lengths)
    drawn = draw_arrays(Case(spec, steps, 2, lengths))
    lstm = backend(spec, drawn.weights)
    x, state, grad_y, grad_state = on_device(lstm, drawn)

    def taken_over(returned: list[Any]) -> list[Any]:
        """Their values, and then NaN in each, which must not show in the others."""
        values = [tensor.clone() for tensor in returned]
        for own, tensor in enumerate(returned):
            tensor.fill_(torch.nan)
            assert not any(other.isnan().any() for other in returned[own + 1 :])
        return values

    def call() -> tuple[list[Any], list[Any]]:
        y, last = lstm.forward(x, state, drawn.lengths, training)
        returned = [y, last.h, last.c]
        values = taken_over(returned)  # before backward, which must not see it
        if training:
            gradients = list(by_name(lstm.backward(grad_y, grad_state)).values())
            returned, values = returned + gradients, values + taken_over(gradients)
        return returned, values

    first, values = call()
    second, again = call()
    for one, other in zip(values, again, strict=True):
        assert torch.equal(one, other)
    assert all(tensor.isnan().all() for tensor in [*first, *second])
    for tensor in (x, state.h, state.c, grad_y, grad_state.h, grad_state.c):
        assert not tensor.isnan().any()


def test_an_inference_call_between_forward_and_backward_changes_nothing(backend: Any) -> None:
    drawn = draw_arrays(RAGGED)
    plain = compute(backend, SPEC, drawn)
    lstm, other = backend(SPEC, drawn.weights), backend(SPEC, drawn.weights)
    x, state, *grads = on_device(lstm, drawn)
    lstm.forward(x, state, drawn.lengths, training=True)
    lstm.forward(x + 1, LSTMState(state.c.clone(), state.h.clone()))
    other.forward(x + 1, state, training=True)
    other.backward(*grads)
    np.testing.assert_array_equal(lstm.to_host(lstm.backward(*grads).x), plain["grad x"])


def test_backward_runs_once_for_each_training_forward(backend: Any) -> None:
    drawn = draw_arrays(RAGGED)
    lstm = backend(SPEC, drawn.weights)
    x, state, grad_y, _ = on_device(lstm, drawn)
    lstm.forward(x, state)
    with pytest.raises(RuntimeError, match=r"forward\(training=True\)"):
        lstm.backward(grad_y, state)
    lstm.forward(x, state, training=True)
    lstm.backward(grad_y, state)
    with pytest.raises(RuntimeError, match=r"forward\(training=True\)"):
        lstm.backward(grad_y, state)


def precision_switches(torch: Any) -> list[Any]:
    b = torch.backends
    return [b.mkldnn.rnn, b.mkldnn.matmul, b.cudnn.rnn, b.cuda.matmul]


@pytest.mark.parametrize("ambient", ["ieee", "tf32"])
@pytest.mark.parametrize("lengths", [None, (4, 0, 5, 1)])
def test_pytorch_179445_tf32_is_what_the_spec_says_and_put_back(
    backend: Any, torch: Any, monkeypatch: pytest.MonkeyPatch, ambient: str, lengths: Any
) -> None:
    mine = slice(0, 2) if backend is TorchCPULSTM else slice(2, 4)
    switches = precision_switches(torch)
    seen: list[str] = []
    original, grad = torch.nn.LSTM.forward, torch.autograd.grad

    def look(run: Any) -> Any:
        def looked(*args: Any, **keywords: Any) -> Any:
            seen.extend(s.fp32_precision for s in switches[mine])
            return run(*args, **keywords)

        return looked

    drawn = draw_arrays(Case(SPEC, 6, 4, lengths))
    wide = {p: backend(replace(SPEC, precision=p), drawn.weights) for p in ("float32", "tf32")}
    monkeypatch.setattr(torch.nn.LSTM, "forward", look(original))
    monkeypatch.setattr(torch.autograd, "grad", look(grad))
    before = [s.fp32_precision for s in switches]
    try:
        for s in switches:
            s.fp32_precision = ambient
        for precision, value in (("float32", "ieee"), ("tf32", "tf32"), ("float32", "ieee")):
            lstm = wide[precision]
            x, state, grad_y, grad_state = on_device(lstm, drawn)
            seen.clear()
            lstm.forward(x, state, drawn.lengths, training=True)
            lstm.backward(grad_y, grad_state)
            assert seen == [value] * 4
            assert [s.fp32_precision for s in switches] == [ambient] * 4
            with pytest.raises(RuntimeError):
                lstm.forward(x[:, :, :1], state)
            assert [s.fp32_precision for s in switches] == [ambient] * 4
    finally:
        for s, value in zip(switches, before, strict=True):
            s.fp32_precision = value


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
def test_equal_host_arrays_give_equal_bits_wherever_they_lie_in_memory(torch: Any, precision: Any) -> None:
    # sums in MKL depend on where its operands begin; the promise of determinism must not
    spec = LSTMSpec(33, 17, precision=precision)
    for seed in range(5):
        drawn = draw_arrays(Case(spec, 3, 11, tuple(b % 4 for b in range(11)), seed=seed))
        results = []
        for offset in range(0, 64, spec.dtype.itemsize):
            memory = np.empty(drawn.x.nbytes + 128, np.uint8)
            start = -memory.ctypes.data % 64 + offset
            moved = memory[start : start + drawn.x.nbytes].view(spec.dtype).reshape(drawn.x.shape)
            moved[...] = drawn.x
            results.append(compute(TorchCPULSTM, spec, replace(drawn, x=moved)))
        for name, array in results[0].items():
            assert {r[name].tobytes() for r in results} == {array.tobytes()}, f"{name}, seed {seed}"


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16, "int64"])
def test_arrays_come_back_bit_for_bit_whatever_their_strides(backend: Any, dtype: Any) -> None:
    lstm = backend(SPEC, draw_arrays(RAGGED).weights)
    values = np.random.default_rng(7).integers(0, 2**16, (4, 6, 10)).astype(np.uint16).astype(dtype)
    values[0, 0, :2] = (-0.0, 3)
    if values.dtype.kind != "i":
        values[0, 0, 2:5] = (np.nan, np.inf, -np.inf)
    values.flags.writeable = False
    for array in (values, values[::-1], values[:, ::2], values.transpose(2, 0, 1), values[..., ::-3], values[:0]):
        back = lstm.to_host(lstm.to_device(array))
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()
    back = lstm.to_host(lstm.to_device(values))
    back[...] = 0
    assert values[0, 0, 1] == 3


def test_construction_leaves_the_random_generator_alone(backend: Any, torch: Any) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    backend(SPEC, draw_arrays(RAGGED).weights).close()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_does_not_fit_is_named(torch: Any) -> None:
    weights = draw_arrays(RAGGED).weights
    with pytest.raises(UnsupportedError, match="peepholes"):
        TorchCPULSTM(LSTMSpec(3, 5, peephole=True), weights)
    with pytest.raises(ValueError, match=r"layers\[0\]\[0\].w_ih has shape \(20, 3\)"):
        TorchCPULSTM(LSTMSpec(4, 5, num_layers=2, bidirectional=True), weights)


def test_weights_are_copied(backend: Any) -> None:
    drawn = draw_arrays(RAGGED)
    lstm = backend(SPEC, drawn.weights)
    x, state, *_ = on_device(lstm, drawn)
    before = np.array(lstm.to_host(lstm.forward(x, state)[0]))
    for _, array in drawn.weights.items():  # noqa: PERF102  no dictionary: it has no values()
        array[...] = np.nan
    np.testing.assert_array_equal(lstm.to_host(lstm.forward(x, state)[0]), before)
