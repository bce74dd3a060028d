"""`Expected.judge`: stacks, gradients, rows, projections, and the reasons for results that do not agree."""

from dataclasses import replace

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights, load_backend
from lstm_parity.backends.numpy_reference import Trace
from lstm_parity.backends.problem import STORAGE, DirectionWeights, LSTMGradients
from lstm_parity.harness.oracle import agreement, tolerance
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.results import Results, project
from lstm_parity.harness.oracle.simulated import Arithmetic, backward, forward
from lstm_parity.harness.problems.rows import take_rows
from lstm_parity.harness.problems.values import Inputs, spread_inputs, spread_weights
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.program import Program


def stack(precision, steps=7, batch=5, seed=0, *, training=True, ragged=False, **options):
    spec = LSTMSpec(9, 13, precision=precision, **({"num_layers": 2, "bidirectional": True} | options))
    rng = np.random.default_rng(seed)
    return spec, spread_weights(spec, rng), spread_inputs(spec, steps, batch, rng, training=training, ragged=ragged)


def judge(spec, weights, inputs, results, **options):
    return Expected(spec, weights, inputs, **options).judge(results)


def train(name, spec, weights, inputs):
    program = Program(((spec, weights),), ((0, inputs),))
    return LocalExecutor(load_backend(name)).run(program).results[0]


def of_rows(results, rows, seed):
    """The results as a worker sends them when only some rows are requested."""
    g = results.gradients
    projected = None if g is None else project(g.weights, seed)
    kept = None if g is None else LSTMGradients(g.x[:, rows], g.h0[:, rows], g.c0[:, rows], LSTMWeights(()))
    return Results(results.y[:, rows], results.h_n[:, rows], results.c_n[:, rows], kept, projected)


def sums_in(order):
    """The reference's float32 arithmetic with its sums in another order."""

    class Reordered(Arithmetic):
        def product(self, a, b):
            if order == "reversed":
                return np.ascontiguousarray(a[:, ::-1]) @ np.ascontiguousarray(b[::-1])
            parts = [a[:, k : k + 5] @ b[k : k + 5] for k in range(0, a.shape[1], 5)]
            return sum(parts[1:], parts[0])

    return Reordered


def reference_results(spec, weights, inputs, arithmetic):
    trace = Trace()
    y, last = forward(spec, weights.astype(arithmetic.dtype), inputs.x, inputs.state, inputs.lengths, arithmetic, trace)
    g = backward(spec, weights.astype(arithmetic.dtype), trace, inputs.grad_y, inputs.grad_state, arithmetic)
    return Results(y, last.h, last.c, g)


def draw_stack(seed, precision, **fixed):
    rng = np.random.default_rng([3, seed])
    hidden = int(rng.integers(1, 14))
    options = {
        "num_layers": int(rng.integers(1, 4)),
        "bidirectional": bool(rng.integers(2)),
        "proj_size": int(rng.integers(1, hidden)) if hidden > 1 and rng.random() < 0.3 else 0,
        "bias": bool(rng.random() < 0.8),
        "peephole": bool(rng.random() < 0.3),
    }
    spec = LSTMSpec(int(rng.integers(1, 10)), hidden, precision=precision, **(options | fixed))
    weights = spread_weights(spec, rng)
    steps, batch = (int(n) for n in rng.integers(1, (10, 6)))
    inputs = spread_inputs(spec, steps, batch, rng, ragged=bool(rng.integers(2)), training=bool(rng.integers(4)))
    if inputs.lengths is not None and rng.random() < 0.5:
        inputs.lengths[rng.integers(batch)] = 0
    return spec, weights, inputs


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("backend", ["numpy", "torch-cpu"])
def test_right_backends_agree_on_whole_batches_and_on_rows(backend, precision):
    fixed = {}
    if backend == "torch-cpu":
        pytest.importorskip("torch", reason="the extra torch is not installed")
        fixed = {"peephole": False}
    for seed in range(12):
        spec, weights, inputs = draw_stack(seed, precision, **fixed)
        results = train(backend, spec, weights, inputs)
        found = judge(spec, weights, inputs, results, seed=seed)
        assert found.agrees, (seed, spec, found)
        assert found.error_bound_ratio <= 1
        rows = np.random.default_rng(seed).permutation(inputs.x.shape[1])[:2]
        found = judge(spec, weights, inputs, of_rows(results, rows, seed), rows=rows, seed=seed)
        assert found.agrees, (seed, spec, found)


@pytest.mark.parametrize("order", ["reversed", "split"])
def test_the_order_of_summation_does_not_matter_to_gradients(order):
    for seed in range(15):
        spec, weights, inputs = stack("float32", seed=seed, ragged=bool(seed % 2), num_layers=1 + seed % 3)
        found = judge(spec, weights, inputs, reference_results(spec, weights, inputs, sums_in(order)(np.float32, np.float32)))
        assert found.agrees, (seed, found)


def test_tf32_operands_agree_with_tf32_and_not_with_float32():
    class Truncating(Arithmetic):
        def product(self, a, b):
            return np.matmul(*((np.ascontiguousarray(m).view(np.int32) & np.int32(-1 << 13)).view(np.float32) for m in (a, b)))

    for seed in range(8):
        spec, weights, inputs = stack("tf32", seed=seed)
        results = reference_results(spec, weights, inputs, Truncating(np.float32, np.float32))
        found = judge(spec, weights, inputs, results)
        assert found.agrees, (seed, found)
        assert found.error_bound_ratio > 0.02
        assert not judge(replace(spec, precision="float32"), weights, inputs, results).agrees


def gates_swapped(weights, first, second, layer=0, direction=0):
    def swap(name, a):
        if name in ("w_hr", "peephole"):
            return a
        parts = np.split(a, 4)
        parts[first], parts[second] = parts[second], parts[first]
        return np.concatenate(parts)

    return changed(weights, lambda w: DirectionWeights(**{n: swap(n, a) for n, a in w.items()}), layer, direction)


def changed(weights, change, layer=0, direction=0):
    """The weights with `change` applied to those of one direction."""
    layers = [list(layer) for layer in weights.layers]
    layers[layer][direction] = change(layers[layer][direction])
    return LSTMWeights(tuple(map(tuple, layers)))


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], ids=str)
def test_swapped_gates_in_a_stack_fail(pair, precision):
    spec, weights, inputs = stack(precision, training=False)
    results = train("numpy", spec, gates_swapped(weights, *pair, layer=1, direction=1), inputs)
    found = judge(spec, weights, inputs, results)
    assert not found.agrees
    assert found.error_bound_ratio > 1
    assert found.effective_bits is None


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("field", ["h", "c"])
def test_an_initial_state_ignored_in_the_upper_layer_fails(field, precision):
    spec, weights, inputs = stack(precision, training=False)
    state = {"h": inputs.state.h.copy(), "c": inputs.state.c.copy()}
    state[field][2:] = 0
    results = train("numpy", spec, weights, replace(inputs, state=LSTMState(**state)))
    assert not judge(spec, weights, inputs, results).agrees


def edit(results, name, change):
    """The results with `change` applied to a copy of one gradient, w_ih and the like being those of layer 0."""
    g = results.gradients
    if name in ("x", "h0", "c0"):
        return replace(results, gradients=replace(g, **{name: change(getattr(g, name).copy())}))
    weights = changed(g.weights, lambda w: replace(w, **{name: change(np.copy(getattr(w, name)))}))
    return replace(results, gradients=replace(g, weights=weights))


def one_gate_missing(k):
    def change(a):
        np.split(a, 4)[k][...] = 0
        return a

    return change


WRONG_GRADIENTS = {
    "doubled bias": ("b_hh", lambda a: a + a),
    "b_ih forgotten": ("b_ih", np.zeros_like),
    "no path to h0": ("h0", np.zeros_like),
    "no path to c0": ("c0", np.zeros_like),
    "x: negative": ("x", np.negative),
    "x: last step missing": ("x", lambda a: np.concatenate([a[:-1], 0 * a[-1:]])),
    "w_hh of f missing": ("w_hh", one_gate_missing(1)),
    "w_ih of o missing": ("w_ih", one_gate_missing(3)),
    "w_ih accumulated": ("w_ih", lambda a: a * a.dtype.type(2)),
    "peephole missing": ("peephole", np.zeros_like),
    "peephole i and f swapped": ("peephole", lambda a: a[[1, 0, 2]]),
    "w_hr transposed order": ("w_hr", lambda a: a[::-1].copy()),
}


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", WRONG_GRADIENTS)
@pytest.mark.parametrize("layers", [1, 2])
def test_wrong_gradients_fail_whole_and_projected(layers, name, precision):
    field, change = WRONG_GRADIENTS[name]
    spec, weights, inputs = stack(precision, num_layers=layers, bidirectional=False, peephole=True, proj_size=5)
    results = train("numpy", spec, weights, inputs)
    wrong = edit(results, field, change)
    expected = Expected(spec, weights, inputs)
    assert expected.judge(results).agrees
    found = expected.judge(wrong)
    assert not found.agrees
    path = f"layers[0][0].{field}" if field not in ("x", "h0", "c0") else field
    assert found.reason.startswith(f"gradient of {path} is first wrong at ")
    rows = np.array([4, 1])
    reasons = []
    for seed in (11, 12, 13):  # a drawn vector may happen to be nearly at right angles to an error; the next one is not
        few = Expected(spec, weights, inputs, rows=rows, seed=seed)
        assert few.judge(of_rows(results, rows, seed)).agrees
        reasons.append(few.judge(of_rows(wrong, rows, seed)).reason)
    assert sum(map(bool, reasons)) >= 2
    assert all(f"gradient of {path} is first wrong at " in reason for reason in reasons if reason)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("large", [False, True])
def test_rows_left_out_of_the_weights_gradients_fail_though_they_are_not_checked(large, precision, monkeypatch):
    if large:
        monkeypatch.setattr(tolerance, "NOISY_VALUES", 1)
    spec, weights, inputs = stack(precision, batch=8)
    rows = np.array([0, 3])
    results = train("numpy", spec, weights, inputs)
    fewer = train("numpy", spec, weights, take_rows(inputs, np.arange(7)))
    wrong = replace(results, gradients=replace(results.gradients, weights=fewer.gradients.weights))
    expected = Expected(spec, weights, inputs, rows=rows, seed=2)
    assert expected.judge(of_rows(results, rows, 2)).agrees
    found = expected.judge(of_rows(wrong, rows, 2))
    assert not found.agrees
    assert found.reason.startswith("projected gradient of layers[")


def test_a_batch_in_parts_has_the_gradients_of_the_whole(monkeypatch):
    spec, weights, inputs = stack("float64", batch=7, ragged=True)
    monkeypatch.setattr(tolerance, "VALUES_PER_RUN", 1)
    monkeypatch.setattr(tolerance, "NOISY_VALUES", 1)
    rows = np.array([6, 2])
    assert judge(spec, weights, inputs, of_rows(train("numpy", spec, weights, inputs), rows, 0), rows=rows).agrees


def test_the_requested_rows_are_checked():
    spec, weights, inputs = stack("float32", num_layers=1, bidirectional=False, training=False)
    results = train("numpy", spec, weights, inputs)
    rows = np.array([4, 2])
    assert judge(spec, weights, inputs, of_rows(results, rows, 0), rows=rows).agrees
    assert not judge(spec, weights, inputs, of_rows(results, np.array([2, 4]), 0), rows=rows).agrees
    results.y[3, 2, 6] += 1
    found = judge(spec, weights, inputs, of_rows(results, rows, 0), rows=rows)
    assert found.reason.startswith("y is first wrong at step 3, row 2, unit 6: got ")
    assert "\n" not in found.reason


@pytest.mark.parametrize("layers", [1, 2])
def test_padding_and_empty_rows_are_exact(layers):
    spec, weights, inputs = stack("float32", num_layers=layers)
    inputs = replace(inputs, lengths=np.array([3, 7, 0, 5, 1]))
    results = train("numpy", spec, weights, inputs)
    assert judge(spec, weights, inputs, results).agrees
    small = np.float32(1e-12)
    for array, index in (
        (results.y, (4, 0, 3)),
        (results.gradients.x, (4, 0, 3)),
        (results.h_n, (0, 2, 1)),
        (results.c_n, (0, 2, 1)),
        (results.gradients.h0, (0, 2, 1)),
        (results.gradients.c0, (0, 2, 1)),
    ):
        kept = array[index]
        array[index] = small if kept == 0 else kept * np.float32(1 + 1e-6)
        assert not judge(spec, weights, inputs, results).agrees
        array[index] = kept


def test_h_n_of_a_stack_is_its_last_output():
    spec, weights, inputs = stack("float32", training=False)
    results = train("numpy", spec, weights, inputs)
    results.h_n[3, 1, 2] = np.nextafter(results.h_n[3, 1, 2], np.float32(9))
    found = judge(spec, weights, inputs, results)
    assert found.reason.startswith("h_n of the last layer, against y, is first wrong at reverse direction, row 1, unit 2: ")


def as_subclass(a):
    return a.view(type("Lazy", (np.ndarray,), {}))


FORMS = {
    "y is missing": lambda r: replace(r, y=None),
    "y is a list": lambda r: replace(r, y=r.y.tolist()),
    "y is a Lazy": lambda r: replace(r, y=as_subclass(r.y)),
    "y has dtype float64, expected a NumPy array of dtype float32": lambda r: replace(r, y=r.y.astype(np.float64)),
    "h_n has shape (4, 5, 12), expected": lambda r: replace(r, h_n=r.h_n[..., 1:]),
    "c_n has shape (2, 5, 13), expected": lambda r: replace(r, c_n=r.c_n[:2]),
    "gradients are missing": lambda r: replace(r, gradients=None),
    "gradient of x has shape (6, 5, 9)": lambda r: edit(r, "x", lambda a: a[1:]),
    "gradient of layers[0][0].w_hh has dtype float64": lambda r: edit(r, "w_hh", lambda a: a.astype(np.float64)),
    "gradient of layers[0][0].b_ih is missing": lambda r: edit(r, "b_ih", lambda a: None),
    "gradient of layers[0][0].w_hr is there": lambda r: edit(r, "w_hr", lambda a: np.zeros(3, np.float32)),
    "there are 1 projected gradients, expected 16": lambda r: replace(r, projections=[np.zeros(1)]),
}


@pytest.mark.parametrize("reason", FORMS)
def test_results_of_the_wrong_form_fail_with_one_line(reason):
    spec, weights, inputs = stack("float32")
    found = judge(spec, weights, inputs, FORMS[reason](train("numpy", spec, weights, inputs)))
    assert not found.agrees
    assert found.reason.startswith(reason)
    assert "expected" in found.reason
    assert found.max_error == found.error_bound_ratio == np.inf


def test_gradients_of_an_inference_problem_are_refused():
    spec, weights, inputs = stack("float32")
    results = train("numpy", spec, weights, inputs)
    inference = Inputs(inputs.x, inputs.state, inputs.lengths)
    assert judge(spec, weights, inference, results).reason.startswith("gradients are there, expected None")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["y", "h_n", "c_n", "x", "w_hh"])
@pytest.mark.parametrize("layers", [1, 2])
def test_not_finite_fails(layers, name, bad):
    spec, weights, inputs = stack("float32", num_layers=layers)
    results = train("numpy", spec, weights, inputs)
    if name in ("x", "w_hh"):
        results = edit(results, name, lambda a: np.where(a == a.max(), np.float32(bad), a))
    else:
        getattr(results, name)[0, 1, 2] = bad
    found = judge(spec, weights, inputs, results)
    assert not found.agrees
    assert found.error_bound_ratio == np.inf
    if name != "y" or layers == 2:
        assert f"got {bad}" in found.reason


def test_nan_in_one_row_hides_nothing_in_the_others():
    spec, weights, inputs = stack("float32", training=False)
    inputs.x[2, 1, 0] = np.nan
    results = train("numpy", spec, weights, inputs)
    assert np.isnan(results.y[:, 1]).any()
    assert judge(spec, weights, inputs, results).agrees
    results.y[2, 3, 0] += np.float32(1e-3)
    found = judge(spec, weights, inputs, results)
    assert "step 2, row 3, unit 0" in found.reason


def test_several_results_share_the_reference(monkeypatch):
    calls = []
    original = agreement.measure
    monkeypatch.setattr(agreement, "measure", lambda *a: calls.append(a) or original(*a))
    spec, weights, inputs = stack("float32")
    expected = Expected(spec, weights, inputs)
    results = train("numpy", spec, weights, inputs)
    assert expected.judge(results) == expected.judge(results)
    assert len(calls) == 1
    expected.judge(results, activation_ulps=100)
    assert len(calls) == 2


def test_activations_may_err_as_far_as_promised():
    spec, weights, inputs = stack("float32", num_layers=1, bidirectional=False, training=False)

    class Fast(Arithmetic):
        def activated(self, array):
            return array + np.float32(2**-24 * 60)

    y, last = forward(spec, weights, inputs.x, inputs.state, None, Fast(np.float32, np.float32))
    expected = Expected(spec, weights, inputs)
    assert not expected.judge(Results(y, last.h, last.c)).agrees
    assert expected.judge(Results(y, last.h, last.c), activation_ulps=64).agrees


def test_a_projection_is_a_product_with_drawn_numbers():
    _, weights, _ = stack("bfloat16")
    first, again, other = project(weights, 3), project(weights, 3), project(weights, 4)
    assert all(a.dtype == np.float64 for a in first)
    assert [a.shape for a in first[:4]] == [(52,), (52,), (1,), (1,)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
