"""The reference against the equations written out naively, against central differences and against closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights, load_backend
from lstm_parity.backends.numpy_reference import Trace, backward, forward, sigmoid
from lstm_parity.backends.problem import STORAGE
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.problems.values import Inputs


def draw_weights(spec, rng, dtype=np.float64):
    return LSTMWeights(
        tuple(
            tuple(
                DirectionWeights(
                    **{
                        name: (rng.standard_normal(shape) * 0.7).astype(dtype)
                        for name, shape in spec.weight_shapes(l).items()
                        if shape is not None
                    }
                )
                for _ in range(spec.num_directions)
            )
            for l in range(spec.num_layers)
        )
    )


def draw_problem(spec, steps, batch, rng, ragged):
    rows = spec.num_layers * spec.num_directions
    x = rng.standard_normal((steps, batch, spec.input_size)).astype(spec.dtype)
    state = LSTMState(
        rng.uniform(-0.9, 0.9, (rows, batch, spec.state_size)).astype(spec.dtype),
        rng.standard_normal((rows, batch, spec.hidden_size)).astype(spec.dtype),
    )
    return draw_weights(spec, rng, spec.dtype), x, state, rng.integers(0, steps + 1, batch) if ragged else None


def naive_row(w, xs, h, c):
    """One sequence, one direction, one scalar at a time: nothing shared with the reference but the equations."""
    hidden = len(w.w_ih) // 4
    out = []
    for x in xs:
        z = [
            sum(w.w_ih[k, j] * x[j] for j in range(len(x)))
            + sum(w.w_hh[k, j] * h[j] for j in range(len(h)))
            + (0 if w.b_ih is None else w.b_ih[k] + w.b_hh[k])
            for k in range(4 * hidden)
        ]
        p = np.zeros((3, hidden)) if w.peephole is None else w.peephole
        new_c, m = [], []
        for n in range(hidden):
            i = 1 / (1 + np.exp(-(z[n] + p[0, n] * c[n])))
            f = 1 / (1 + np.exp(-(z[hidden + n] + p[1, n] * c[n])))
            cell = f * c[n] + i * np.tanh(z[2 * hidden + n])
            o = 1 / (1 + np.exp(-(z[3 * hidden + n] + p[2, n] * cell)))
            new_c.append(cell)
            m.append(o * np.tanh(cell))
        c = new_c
        h = m if w.w_hr is None else [sum(w.w_hr[r, n] * m[n] for n in range(hidden)) for r in range(len(w.w_hr))]
        out.append(h)
    return out, h, c


def naive(spec, weights, x, state, lengths):
    steps, batch = x.shape[:2]
    h_n, c_n = np.array(state.h), np.array(state.c)
    for l, layer in enumerate(weights.layers):
        y = np.zeros((steps, batch, spec.output_size))
        for (d, w), b in itertools.product(enumerate(layer), range(batch)):
            n = steps if lengths is None else lengths[b]
            k = l * spec.num_directions + d
            xs = x[:n, b][::-1] if d else x[:n, b]
            out, h_n[k, b], c_n[k, b] = naive_row(w, xs, state.h[k, b], state.c[k, b])
            if n:
                y[:n, b, d * spec.state_size : (d + 1) * spec.state_size] = out[::-1] if d else out
        x = y
    return x, h_n, c_n


SPECS = [
    {},
    {"bidirectional": True},
    {"num_layers": 2},
    {"peephole": True},
    {"proj_size": 2},
    {"bias": False},
    {"num_layers": 3, "bidirectional": True, "proj_size": 2, "peephole": True},
]


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("extra", SPECS, ids=str)
def test_forward_is_the_equations(extra, ragged):
    spec = LSTMSpec(3, 4, precision="float64", **extra)
    weights, x, state, lengths = draw_problem(spec, 5, 4, np.random.default_rng(1), ragged)
    y, last = forward(spec, weights, x, state, lengths)
    want_y, want_h, want_c = naive(spec, weights, x, state, lengths)
    np.testing.assert_allclose(y, want_y, rtol=0, atol=1e-14)
    np.testing.assert_allclose(last.h, want_h, rtol=0, atol=1e-14)
    np.testing.assert_allclose(last.c, want_c, rtol=0, atol=1e-13)


def loss(spec, weights, x, state, lengths, grad_y, grad_state):
    y, last = forward(spec, weights, x, state, lengths)
    return (y * grad_y).sum() + (last.h * grad_state.h).sum() + (last.c * grad_state.c).sum()


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("extra", SPECS, ids=str)
def test_gradients_are_central_differences(extra, ragged):
    spec = LSTMSpec(3, 4, precision="float64", **extra)
    rng = np.random.default_rng(2)
    weights, x, state, lengths = draw_problem(spec, 5, 4, rng, ragged)
    grad_y = rng.standard_normal((5, 4, spec.output_size))
    grad_state = LSTMState(rng.standard_normal(state.h.shape), rng.standard_normal(state.c.shape))
    trace = Trace()
    forward(spec, weights, x, state, lengths, trace=trace)
    got = backward(spec, weights, trace, grad_y, grad_state)

    gradients = {"x": got.x, "h0": got.h0, "c0": got.c0, **dict(got.weights.items())}
    arrays = {"x": x, "h0": state.h, "c0": state.c, **dict(weights.items())}
    assert gradients.keys() == arrays.keys()
    for name, array in arrays.items():
        assert gradients[name].shape == array.shape, name
        for index in {tuple(rng.integers(0, n) for n in array.shape) for _ in range(6)}:
            kept = array[index]
            array[index] = kept + 1e-5
            above = loss(spec, weights, x, state, lengths, grad_y, grad_state)
            array[index] = kept - 1e-5
            below = loss(spec, weights, x, state, lengths, grad_y, grad_state)
            array[index] = kept
            assert (above - below) / 2e-5 == pytest.approx(gradients[name][index], abs=2e-8), (name, index)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SPECS), st.sampled_from(list(STORAGE)), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_backend_agrees_with_the_reference_in_every_precision(extra, precision, ragged, seed):
    spec = LSTMSpec(3, 4, precision=precision, **extra)
    rng = np.random.default_rng(seed)
    weights, x, state, lengths = draw_problem(spec, 6, 3, rng, ragged)
    grad_y = rng.standard_normal((6, 3, spec.output_size)).astype(spec.dtype)
    backend = load_backend("numpy")(spec, weights)
    y, last = backend.forward(x, state, lengths, training=True)
    gradients = backend.backward(grad_y, state)
    expected = Expected(spec, weights, Inputs(x, state, lengths, grad_y, state))
    judgement = expected.judge(Results(y, last.h, last.c, gradients))
    assert judgement.agrees, judgement.reason


@pytest.mark.parametrize("bidirectional", [False, True])
def test_nan_in_the_padding_changes_nothing(bidirectional):
    spec = LSTMSpec(3, 4, num_layers=2, bidirectional=bidirectional)
    rng = np.random.default_rng(3)
    weights, x, state, _ = draw_problem(spec, 6, 4, rng, False)
    lengths = np.array([0, 3, 6, 1])
    dirty, dirty_grad = x.copy(), np.ones((6, 4, spec.output_size), np.float32)
    clean_grad = dirty_grad.copy()
    for b, n in enumerate(lengths):
        dirty[n:, b] = np.nan
        dirty_grad[n:, b] = np.nan
    results = []
    for inputs, grad in ((x, clean_grad), (dirty, dirty_grad)):
        backend = load_backend("numpy")(spec, weights)
        y, last = backend.forward(inputs, state, lengths, training=True)
        g = backend.backward(grad, state)
        results.append([y, last.h, last.c, g.x, g.h0, g.c0, *(a for _, a in g.weights.items())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()


@pytest.mark.parametrize("precision", STORAGE)
def test_c_is_preserved_over_10000_steps_with_f_1_and_i_0(precision):
    spec = LSTMSpec(1, 3, precision=precision)
    bias = np.repeat([-1e4, 1e4, 0.5, 0.0], 3).astype(spec.dtype)
    w = DirectionWeights(np.zeros((12, 1), spec.dtype), np.zeros((12, 3), spec.dtype), bias, np.zeros(12, spec.dtype))
    c0 = np.array([[[0.7, -1.3, 0.0]]]).astype(spec.dtype)
    state = LSTMState(np.zeros((1, 1, 3), spec.dtype), c0)
    _, last = load_backend("numpy")(spec, LSTMWeights(((w,),))).forward(np.zeros((10_000, 1, 1), spec.dtype), state)
    np.testing.assert_array_equal(last.c, c0)


def test_sigmoid_saturates_without_nan():
    np.testing.assert_array_equal(sigmoid(np.array([-np.inf, 0.0, np.inf])), [0, 0.5, 1])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(sigmoid(np.array([-1e4, 1e4])), [0, 1])


def test_backward_needs_a_training_forward():
    spec = LSTMSpec(3, 4)
    weights, x, state, _ = draw_problem(spec, 2, 1, np.random.default_rng(4), False)
    backend = load_backend("numpy")(spec, weights)
    y, _ = backend.forward(x, state)
    with pytest.raises(RuntimeError, match="forward\\(training=True\\)"):
        backend.backward(y, state)


def test_an_inference_between_forward_and_backward_changes_nothing():
    spec = LSTMSpec(3, 4)
    weights, x, state, _ = draw_problem(spec, 2, 1, np.random.default_rng(5), False)
    gradients = []
    for between in (False, True):
        backend = load_backend("numpy")(spec, weights)
        y, _ = backend.forward(x, state, training=True)
        if between:
            backend.forward(x + 1, state)
        gradients.append(backend.backward(np.ones_like(y), state).x)
    np.testing.assert_array_equal(*gradients)
