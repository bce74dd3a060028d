"""The certificate with right implementations of every kind, and wrong ones that it must find.

Long, because all of them are variants of the LSTM at the top.
"""

import itertools
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights, load_backend
from lstm_parity.backends.problem import STORAGE, DirectionWeights
from lstm_parity.harness.oracle.certificate import NUMPY_ACTIVATION_ULPS, _rise, _sigmoid, _tanh, certify
from lstm_parity.harness.oracle.simulated import Arithmetic, forward
from lstm_parity.harness.problems.values import Inputs, spread_inputs, spread_weights

TF32 = "tf32"


def dot_lstm(spec, w, inputs, dot=np.matmul, cell=lambda c: c, skip=(), carry=lambda h, before: h, cast=None, wide=False):
    """One layer, one direction, plain: y [T, B, H], h_n, c_n in the spec's dtype.

    dot: the matrix product. cell: applied to a new c. skip: steps that are not run. carry: the h that the next step reads.
    cast: dtype of every intermediate; the arithmetic's own if None. wide: the next step reads h before storage.
    """
    compute = np.float64 if spec.precision == "float64" else np.float32
    cast = cast or compute

    def r(a):
        return a.astype(cast).astype(compute)

    w = w.layers[0][0].astype(compute)
    h, c = inputs.state.h[0].astype(compute), inputs.state.c[0].astype(compute)
    y = []
    for t, x in enumerate(inputs.x.astype(compute)):
        if t not in skip:
            z = r(r(dot(x, w.w_ih.T) + w.b_ih) + r(dot(h, w.w_hh.T) + w.b_hh))
            i, f, g, o = np.split(z, 4, axis=1)
            i, f, g, o = (r(1 / (1 + np.exp(-i))), r(1 / (1 + np.exp(-f))), r(np.tanh(g)), r(1 / (1 + np.exp(-o))))
            c = cell(r(r(f * c) + r(i * g)))
            before, h = h, r(o * r(np.tanh(c)))
            y.append(h.astype(spec.dtype))
            h = h if wide else y[-1].astype(compute)
            h = carry(h, before)
        else:
            y.append(h.astype(spec.dtype))
    return np.stack(y).astype(spec.dtype), LSTMState(y[-1].astype(spec.dtype)[None], c.astype(spec.dtype)[None])


def reversed_sum(a, b):
    return np.ascontiguousarray(a[:, ::-1]) @ np.ascontiguousarray(b[::-1])


def split_sum(a, b):
    return sum((a[:, k : k + 3] @ b[k : k + 3] for k in range(0, a.shape[1], 3)), np.zeros((), a.dtype))


def padded_sum(a, b):
    extra = -a.shape[1] % 16
    return np.pad(a, ((0, 0), (0, extra))) @ np.pad(b, ((0, extra), (0, 0)))


def one_by_one(a, b):
    out = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        out = out + a[:, k : k + 1] * b[k]
    return out


def float64_inside(a, b):
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(a.dtype)


def through(dtype):
    return lambda a, b: a.astype(dtype).astype(a.dtype) @ b.astype(dtype).astype(b.dtype)


def cut_to_tf32(a):
    return (np.ascontiguousarray(a).view(np.int32) & np.int32(-1 << 13)).view(np.float32)


def tf32_products(a, b):
    return cut_to_tf32(a) @ cut_to_tf32(b)


SUMS = [np.matmul, reversed_sum, split_sum, padded_sum, one_by_one, float64_inside]


def run(backend, spec, weights, inputs):
    b = load_backend(backend)(spec, weights)
    state = LSTMState(b.to_device(inputs.state.h), b.to_device(inputs.state.c))
    y, last = b.forward(b.to_device(inputs.x), state, inputs.lengths)
    return b.to_host(y), LSTMState(b.to_host(last.h), b.to_host(last.c))


def check(spec, weights, inputs, result):
    return certify(spec, weights, inputs.x, inputs.state, inputs.lengths, *result)


def draw(seed, precision, *, ragged=True, **fixed):
    rng = np.random.default_rng(seed)
    hidden = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17]))
    options = {
        "bidirectional": bool(rng.integers(2)),
        "proj_size": int(rng.integers(1, hidden)) if hidden > 1 and rng.random() < 0.3 else 0,
        "bias": bool(rng.random() < 0.8),
        "peephole": bool(rng.random() < 0.3),
    }
    spec = LSTMSpec(int(rng.integers(1, 12)), hidden, precision=precision, **(options | fixed))
    weights = spread_weights(spec, rng)
    inputs = spread_inputs(
        spec, int(rng.integers(1, 16)), int(rng.integers(1, 6)), rng, ragged=ragged and bool(rng.integers(2))
    )
    if inputs.lengths is not None:
        inputs.lengths[rng.integers(len(inputs.lengths))] = 0
    return spec, weights, inputs


def plain(precision, hidden=13, inputs=9, steps=7, batch=5, seed=0, **options):
    """Odd and unequal sizes, by default."""
    spec = LSTMSpec(inputs, hidden, precision=precision, **options)
    rng = np.random.default_rng(seed)
    return spec, spread_weights(spec, rng), spread_inputs(spec, steps, batch, rng)


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("backend", ["numpy", "torch-cpu"])
def test_right_backends_agree(backend, precision):
    if backend == "torch-cpu":
        pytest.importorskip("torch", reason="the extra torch is not installed")
    worst = 0.0
    for seed in range(60):
        spec, weights, inputs = draw(seed, precision, **({"peephole": False} if backend == "torch-cpu" else {}))
        found = check(spec, weights, inputs, run(backend, spec, weights, inputs))
        assert found.agrees, (seed, spec, found)
        assert found.error_bound_ratio <= 1
        worst = max(worst, found.error_bound_ratio)
    assert precision == TF32 or worst > 0.02, "the bound is so loose that it may show nothing"


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("dot", SUMS)
def test_any_order_of_summation_agrees(dot, precision):
    for seed in range(12):
        spec, weights, inputs = draw(seed, precision, ragged=False, bidirectional=False, proj_size=0, bias=True, peephole=False)
        found = check(spec, weights, inputs, dot_lstm(spec, weights, inputs, dot))
        assert found.agrees, (seed, spec, found)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_intermediates_may_be_rounded_to_16_bits(precision):
    for seed in range(30):
        spec, weights, inputs = draw(seed, precision, ragged=False, bidirectional=False, proj_size=0, bias=True, peephole=False)
        found = check(spec, weights, inputs, dot_lstm(spec, weights, inputs, cast=spec.dtype))
        assert found.agrees, (seed, spec, found)


@pytest.mark.parametrize("options", [{}, {"proj_size": 5}], ids=str)
def test_tf32_may_truncate_the_operands(options):
    for seed in range(10):
        spec, weights, inputs = plain(TF32, seed=seed, **options)
        y, last = run_truncated(spec, weights, inputs)
        found = check(spec, weights, inputs, (y, last))
        assert found.agrees
        assert found.error_bound_ratio > 0.01
        named = LSTMSpec(9, 13, **options)
        behind_float32 = check(named, weights, inputs, (y, last))
        assert not behind_float32.agrees
        assert 9 < behind_float32.effective_bits < 13


def run_truncated(spec, weights, inputs):
    class Truncating(Arithmetic):
        def product(self, a, b):
            return tf32_products(a, b)

    return forward(spec, weights, inputs.x, inputs.state, None, Truncating(np.float32, np.float32))


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("pair", list(itertools.combinations(range(4), 2)), ids=str)
def test_swapped_gates_fail(pair, precision):
    spec, weights, inputs = plain(precision)
    order = list(range(4))
    order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]

    def swap(a):
        return np.concatenate([np.split(a, 4)[k] for k in order])

    w = weights.layers[0][0]
    wrong = LSTMWeights(((DirectionWeights(*(swap(a) for a in (w.w_ih, w.w_hh, w.b_ih, w.b_hh))),),))
    found = check(spec, weights, inputs, run("numpy", spec, wrong, inputs))
    assert not found.agrees
    assert found.error_bound_ratio > 5


def without(state, field):
    return LSTMState(**{name: np.zeros_like(a) if name == field else a for name, a in vars(state).items()})


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("field", ["h", "c"])
def test_an_ignored_initial_state_fails(field, precision):
    spec, weights, inputs = plain(precision)
    ignoring = replace(inputs, state=without(inputs.state, field))
    found = check(spec, weights, inputs, run("numpy", spec, weights, ignoring))
    assert not found.agrees
    assert found.first_bad.step == 0


NARROW = {
    "TF32 products": ({"dot": tf32_products}, (9, 13)),
    "bfloat16 products": ({"dot": through(ml_dtypes.bfloat16)}, (6, 10)),
    "float16 products": ({"dot": through(np.float16)}, (9, 13)),
    "16-bit c": ({"cell": lambda c: c.astype(np.float16).astype(c.dtype)}, (9, 14)),
}


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("hidden", [1, 13, 64])
def test_lower_precision_behind_float32_fails_and_is_measured(name, hidden):
    wrong, (least, most) = NARROW[name]
    spec, weights, inputs = plain("float32", hidden, steps=20)
    found = check(spec, weights, inputs, dot_lstm(spec, weights, inputs, **wrong))
    assert not found.agrees
    assert least < found.effective_bits < most


def test_bfloat16_products_behind_float16_fail_at_some_size():
    ratios = []
    for hidden, seed in itertools.product((1, 2, 4), range(10)):
        spec, weights, inputs = plain("float16", hidden, 2, seed=seed)
        found = check(spec, weights, inputs, dot_lstm(spec, weights, inputs, through(ml_dtypes.bfloat16)))
        ratios.append(found.error_bound_ratio)
    assert max(ratios) > 1


def test_a_bias_of_1e_5_on_one_gate_fails_at_hidden_size_1():
    ratios = []
    for seed in range(10):
        spec, weights, inputs = plain("float32", 1, 1, seed=seed, steps=20)
        w = weights.layers[0][0]
        biased = DirectionWeights(w.w_ih, w.w_hh, w.b_ih + np.float32([0, 1e-5, 0, 0]), w.b_hh)
        wrong = run("numpy", spec, LSTMWeights(((biased,),)), inputs)
        ratios.append(check(spec, weights, inputs, wrong).error_bound_ratio)
    assert max(ratios) > 1


STEPS = {
    "a skipped step": {"skip": (3,)},
    "a stale last unit": {"carry": lambda h, before: np.concatenate([h[:, :-1], before[:, -1:]], axis=1)},
    "no recurrence": {"carry": lambda h, before: np.zeros_like(h)},
    "half of the units see the old h": {"carry": lambda h, before: np.concatenate([h[:, :6], before[:, 6:]], axis=1)},
}


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("name", STEPS)
def test_wrong_recurrences_fail(name, precision):
    spec, weights, inputs = plain(precision)
    assert check(spec, weights, inputs, dot_lstm(spec, weights, inputs)).agrees
    found = check(spec, weights, inputs, dot_lstm(spec, weights, inputs, **STEPS[name]))
    assert not found.agrees
    assert 1 <= found.first_bad.step <= 4, "the first wrong step is named"


def copied(result):
    y, last = result
    return y.copy(), LSTMState(last.h.copy(), last.c.copy())


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("what", ["h_n", "c_n", "padding", "h_n of an empty row", "c_n of an empty row"])
def test_states_and_padding_are_checked(what, precision):
    spec, weights, inputs = plain(precision, bidirectional=True)
    inputs = Inputs(inputs.x, inputs.state, np.array([3, 7, 0, 5, 1]))
    y, last = copied(run("numpy", spec, weights, inputs))
    assert check(spec, weights, inputs, (y, last)).agrees
    if what == "h_n":
        last.h[1, 3, 2] = np.nextafter(last.h[1, 3, 2], last.h.dtype.type(9))
    elif what == "c_n":
        last.c[1, 3, 2] *= last.c.dtype.type(1.05)
        last.c[1, 3, 2] += last.c.dtype.type(0.25)
    elif what == "padding":
        y[5, 0, 3] = y.dtype.type(1e-7)
    else:
        state = last.h if what.startswith("h") else last.c
        state[0, 2, 1] = 0
    found = check(spec, weights, inputs, (y, last))
    assert not found.agrees
    assert found.first_bad.quantity == ("y" if what == "padding" else what[:3])
    assert found.first_bad.row == {"padding": 0, "h_n": 3, "c_n": 3}.get(what, 2)


def test_ignored_lengths_fail():
    spec, weights, inputs = plain("float32")
    ragged = Inputs(inputs.x, inputs.state, np.array([3, 7, 6, 5, 1]))
    y, last = copied(run("numpy", spec, weights, inputs))
    assert not check(spec, weights, ragged, (y, last)).agrees
    for row, length in enumerate(ragged.lengths):
        y[length:, row] = 0
        last.h[0, row] = y[length - 1, row]
    found = check(spec, weights, ragged, (y, last))
    assert not found.agrees
    assert found.first_bad.quantity == "c_n"


@pytest.mark.parametrize("precision", STORAGE)
def test_a_reverse_direction_that_runs_forward_fails(precision):
    spec, weights, inputs = plain(precision, bidirectional=True)
    one = LSTMSpec(9, 13, precision=precision)
    result = []
    for d in range(2):
        part = Inputs(inputs.x, LSTMState(inputs.state.h[d : d + 1], inputs.state.c[d : d + 1]))
        result.append(run("numpy", one, LSTMWeights(((weights.layers[0][d],),)), part))
    last = LSTMState(*(np.concatenate([getattr(s, n) for _, s in result]) for n in ("h", "c")))
    found = check(spec, weights, inputs, (np.concatenate([y for y, _ in result], axis=2), last))
    assert not found.agrees
    assert found.first_bad.direction == 1


def test_the_reverse_direction_reads_from_the_last_valid_step():
    """Not from the last step of the batch, as if the padding belonged to the sequence."""
    spec, weights, inputs = plain("float32", bidirectional=True)
    lengths = np.array([3, 7, 6, 5, 1])
    ragged = Inputs(inputs.x, inputs.state, lengths)
    y, last = copied(run("numpy", spec, weights, ragged))
    whole, _ = run("numpy", spec, weights, inputs)
    y[:3, 0, 13:] = whole[:3, 0, 13:]
    last.h[1, 0] = y[0, 0, 13:]
    found = check(spec, weights, ragged, (y, last))
    assert (found.first_bad.row, found.first_bad.step, found.first_bad.direction) == (0, 2, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_where_the_equations_are_fails(bad):
    spec, weights, inputs = plain("float32")
    y, last = copied(run("numpy", spec, weights, inputs))
    y[4, 2, 7] = bad
    found = check(spec, weights, inputs, (y, last))
    assert not found.agrees
    assert found.error_bound_ratio == found.max_error == np.inf
    assert (found.first_bad.step, found.first_bad.row, found.first_bad.unit) == (4, 2, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_in_a_row_are_expected_there(value):
    spec, weights, inputs = plain("float32")
    inputs.x[3, 1, 2] = value
    inputs.state.c[0, 4, 0] = np.inf
    y, last = run("numpy", spec, weights, inputs)
    assert check(spec, weights, inputs, (y, last)).agrees
    y, last = copied((y, last))
    y[5, 0, 1] += np.float32(1e-4)
    assert not check(spec, weights, inputs, (y, last)).agrees
    if np.isnan(value):
        y, last = copied(run("numpy", spec, weights, inputs))
        assert np.isnan(y[4, 1, 0])
        y[4, 1, 0] = 0.25
        assert not check(spec, weights, inputs, (y, last)).agrees


def test_nan_in_the_padding_is_not_read():
    spec, weights, inputs = plain("float32", bidirectional=True)
    ragged = Inputs(inputs.x.copy(), inputs.state, np.array([3, 7, 0, 5, 1]))
    ragged.x[3:, 0] = ragged.x[:, 2] = np.nan
    assert check(spec, weights, ragged, run("numpy", spec, weights, ragged)).agrees


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("scale", [1000, 1e-3, 0])
def test_large_tiny_and_zero_weights_agree(scale, precision):
    spec, weights, inputs = plain(precision, peephole=True, proj_size=5)
    dtype = spec.dtype.type
    weights = LSTMWeights(((DirectionWeights(**{n: a * dtype(scale) for n, a in weights.layers[0][0].items()}),),))
    found = check(spec, weights, inputs, run("numpy", spec, weights, inputs))
    assert found.agrees, found


def test_the_bound_stays_sharp_over_10000_steps():
    spec, weights, inputs = plain("float32", 8, 8, steps=10_000, batch=2)
    y, last = copied(run("numpy", spec, weights, inputs))
    found = check(spec, weights, inputs, (y, last))
    assert found.agrees
    y[9000, 1, 3] += np.float32(1e-5)
    found = check(spec, weights, inputs, (y, last))
    assert (found.first_bad.step, found.first_bad.row, found.first_bad.unit) == (9000, 1, 3)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_h_may_be_kept_wider_than_it_is_stored(precision):
    """Two units that differ by little, with weights that cancel: z is small, but the storage rounding of h is not."""
    spec = LSTMSpec(1, 2, precision=precision)
    rng = np.random.default_rng(9)
    w_ih, w_hh = np.zeros((8, 1), spec.dtype), np.tile([[30, -30]], (8, 1)).astype(spec.dtype)
    for seed in range(20):
        bias = (rng.uniform(0.5, 1, (4, 1)) + np.array([0, 2.0**-9])).reshape(8).astype(spec.dtype)
        weights = LSTMWeights(((DirectionWeights(w_ih, w_hh, bias, np.zeros_like(bias)),),))
        inputs = spread_inputs(spec, 12, 4, rng)
        inputs.state.h[...] = inputs.state.h[..., :1]
        inputs.state.c[...] = inputs.state.c[..., :1]
        found = check(spec, weights, inputs, dot_lstm(spec, weights, inputs, wide=True))
        assert found.agrees, (seed, found)


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
def test_c_may_be_rounded_at_each_step(precision):
    """Gates that are exactly 1, so that nothing but the rounding of c + 1 can differ, and activations that may not err."""
    spec = LSTMSpec(1, 16, precision=precision)
    zero, saturated = np.zeros((64, 17), spec.dtype), np.repeat([80.0, 80.0, 80.0, -80.0], 16).astype(spec.dtype)
    weights = LSTMWeights(((DirectionWeights(zero[:, :1], zero[:, 1:], saturated, zero[:, 0]),),))
    inputs = spread_inputs(spec, 40, 4, np.random.default_rng(8))
    y, last = dot_lstm(spec, weights, inputs, cell=lambda c: c.astype(spec.dtype).astype(c.dtype))
    found = certify(spec, weights, inputs.x, inputs.state, None, y, last, activation_ulps=0)
    assert found.agrees, found
    exact = inputs.state.c.astype(np.float64) + 40
    assert precision == "float64" or not np.array_equal(last.c.astype(np.float64), exact)


SIZES = [
    (50, 4, 1, 1, {}),
    (20, 4, 9, 13, {"peephole": True}),
    (20, 8, 9, 13, {"proj_size": 5}),
    (20, 4, 64, 64, {}),
    (6, 4, 300, 500, {}),
]


@pytest.mark.parametrize(("steps", "batch", "width", "hidden", "options"), SIZES)
@pytest.mark.parametrize(("precision", "bits"), [("float32", 24), ("float64", 53)])
def test_numpy_has_the_promised_bits(precision, bits, steps, batch, width, hidden, options):
    spec, weights, inputs = plain(precision, hidden, width, steps, batch, **options)
    assert abs(check(spec, weights, inputs, run("numpy", spec, weights, inputs)).effective_bits - bits) < 1


def test_a_bias_lowers_the_bits_more_than_noise_of_its_size():
    spec, weights, inputs = plain("float32", 64, 9, 20)
    y, last = run("numpy", spec, weights, inputs)
    ulp = np.float32(2**-24)
    noise = np.random.default_rng(1).choice([-ulp, ulp], y.shape)
    biased, noisy = (check(spec, weights, inputs, (y + e, last)).effective_bits for e in (ulp, noise))
    assert biased < noisy - 1


def test_activations_change_by_no_more_than_the_bound_and_it_is_sharp():
    rng = np.random.default_rng(5)
    z = np.concatenate([rng.normal(0, 3, 4000), rng.normal(0, 300, 4000), [0.0, 800.0, -800.0, 1e4]])
    d = np.concatenate([10 ** rng.uniform(-12, 0, 4000), 10 ** rng.uniform(-3, 3, 4000), [1e-9, 1e3, 1e3, 0.0]])
    for bound, exact in ((_sigmoid, lambda v: 1 / (1 + np.exp(-v))), (_tanh, np.tanh)):
        with np.errstate(over="ignore"):
            _, change = bound(z, d)
            wide, around = z.astype(np.longdouble), d.astype(np.longdouble)
            largest = np.maximum(exact(wide + around) - exact(wide), exact(wide) - exact(wide - around))
        assert np.all(change * (1 + 1e-12) + 1e-18 >= largest)
        large_enough = largest > 1e-14
        assert np.all(change[large_enough] <= largest[large_enough] * 1.1)
    t = np.exp(-np.abs(z))
    assert np.all(_rise(np.full_like(z, 0.5), np.abs(z), t) >= t * np.expm1(0.5) * (1 - 1e-15) - 1e-300)


def test_numpys_activations_are_as_exact_as_the_bound_assumes():
    if np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("this machine's long double is no wider than float64, so there is nothing to compare with")
    z = np.random.default_rng(6).uniform(-40, 40, 200_000)
    for activation, exact in ((_sigmoid, lambda v: 1 / (1 + np.exp(-v))), (_tanh, np.tanh)):
        value, _ = activation(z, np.zeros_like(z))
        assert np.abs(value - exact(z.astype(np.longdouble))).max() < NUMPY_ACTIVATION_ULPS * 2.0**-53


def test_a_stack_is_refused():
    spec, weights, inputs = plain("float32", num_layers=2)
    with pytest.raises(ValueError, match="one layer, not 2"):
        check(spec, weights, inputs, run("numpy", spec, weights, inputs))


def test_adding_the_two_biases_first_in_16_bits_is_right():
    """As oneDNN does in bfloat16. W x nearly cancels the biases, so that only the rounding of their sum is large."""
    spec = LSTMSpec(1, 1, precision="bfloat16")
    dtype = spec.dtype
    w, b_ih, b_hh = 15.9375, -16.0, -0.06640625
    zero = np.zeros((4, 1), dtype)
    direction = DirectionWeights(
        np.array([[w], [0], [0], [0]]).astype(dtype), zero, np.array([b_ih, 30, 30, 30]).astype(dtype), zero[:, 0].copy()
    )
    direction.b_hh[0] = b_hh

    def rounded(value):
        return np.asarray(value).astype(dtype).astype(np.float32)

    i = rounded(1 / (1 + np.exp(-rounded(w + rounded(b_ih + b_hh)))))
    y, c = (np.full((1, 1, 1), value).astype(dtype) for value in (np.tanh(i), i))  # f, o and g are 1
    x, state = np.ones((1, 1, 1), dtype), LSTMState.zeros(spec, 1)
    found = certify(spec, LSTMWeights(((direction,),)), x, state, None, y, LSTMState(y[-1:], c))
    assert found.agrees
    assert found.error_bound_ratio > 0.1
