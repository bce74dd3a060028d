"""CorrectLSTM and the right mutants agree with the equations; each wrong one gives other results than CorrectLSTM."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lstm_parity.backends import Capabilities, LSTMSpec, LSTMState, LSTMWeights, load_backend
from lstm_parity.backends.problem import STORAGE
from lstm_parity.harness.faults.fault import Mutant
from lstm_parity.harness.faults.lstm import CorrectLSTM
from lstm_parity.harness.faults.mutants import right, wrong
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.problems.values import Inputs, spread_inputs, spread_weights

pytestmark = pytest.mark.deep

WRONG, RIGHT = wrong(), right()
FAMILIES = {
    *("gates", "state", "time", "layout", "lengths", "direction", "layers", "projection", "peephole", "activation"),
    *("precision", "races", "memory", "gradients", "rare", "independent"),
}
DEFECTS = {  # the list at the end of the design's "Real defects of this kind"
    *("pytorch 177016", "pytorch 177834", "pytorch 179445", "tensorflow 60192", "onnxruntime 1400", "pytorch 94754, 95118"),
    *("pytorch 619", "pytorch 35661, 18110", "onnxruntime 4187", "tensorflow 41630", "ddbourgin/numpy-ml 42"),
    "intel/torch-xpu-ops 3770",
}


def drawn(seed, precision):
    """A small training problem with any features."""
    rng = np.random.default_rng([17, seed])
    hidden = int(rng.integers(1, 14))
    spec = LSTMSpec(
        int(rng.integers(1, 10)),
        hidden,
        num_layers=int(rng.integers(1, 4)),
        bidirectional=bool(rng.integers(2)),
        proj_size=int(rng.integers(1, hidden)) if hidden > 1 and rng.random() < 0.4 else 0,
        bias=bool(rng.random() < 0.8),
        peephole=bool(rng.random() < 0.4),
        precision=precision,
    )
    weights = spread_weights(spec, rng)
    steps, batch = (int(n) for n in rng.integers(1, (10, 6)))
    inputs = spread_inputs(spec, steps, batch, rng, ragged=bool(rng.integers(2)), training=bool(rng.integers(4)))
    if inputs.lengths is not None and rng.random() < 0.5:
        inputs.lengths[rng.integers(batch)] = 0
    return spec, weights, inputs


def called(backend, inputs):
    """One call, and a backward where the inputs have a gradient."""
    training = inputs.grad_y is not None
    y, last = backend.forward(inputs.x, inputs.state, inputs.lengths, training=training)
    return Results(y, last.h, last.c, backend.backward(inputs.grad_y, inputs.grad_state) if training else None)


def arrays(results):
    g = results.gradients
    of_gradients = [] if g is None else [g.x, g.h0, g.c0, *(a for _, a in g.weights.items())]
    return [results.y, results.h_n, results.c_n, *of_gradients]


@pytest.mark.parametrize("precision", STORAGE)
def test_it_agrees_with_the_reference_and_the_equations(precision):
    reference = load_backend("numpy")
    for seed in range(8):
        spec, weights, inputs = drawn(seed + 8 * list(STORAGE).index(precision), precision)
        results, expected = called(CorrectLSTM(spec, weights), inputs), Expected(spec, weights, inputs)
        found = expected.judge(results)
        assert found.agrees, (seed, spec, found)
        few = 2.0**-8 if precision == "bfloat16" else 2.0**-11 if precision == "float16" else 64 * np.finfo(spec.dtype).eps
        for got, wanted in zip(arrays(results), arrays(called(reference(spec, weights), inputs)), strict=True):
            assert got.dtype == wanted.dtype
            largest = max(1.0, float(np.abs(wanted.astype(np.float64)).max()))
            np.testing.assert_allclose(got.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=4 * few * largest)


@pytest.mark.parametrize("mutant", RIGHT, ids=lambda m: m.name)
def test_right_ones_agree(mutant):
    promises = mutant.backend.capabilities
    for precision in sorted(promises.precisions):
        for seed in range(2):
            spec, weights, inputs = drawn(seed + 100, precision)
            expected = Expected(spec, weights, inputs, activation_ulps=promises.activation_ulps)
            found = expected.judge(called(mutant.backend(spec, weights), inputs))
            assert found.agrees, (seed, spec, found)


def test_h_is_stored_between_steps():
    spec = LSTMSpec(3, 5, precision="bfloat16")
    rng = np.random.default_rng(0)
    lstm = CorrectLSTM(spec, spread_weights(spec, rng))
    inputs = spread_inputs(spec, 4, 2, rng)
    lstm.forward(inputs.x, inputs.state, training=True)
    for step in lstm.trace.runs[0][0].steps:
        np.testing.assert_array_equal(step.h, step.h.astype(spec.dtype).astype(step.h.dtype))
        assert step.c.dtype == np.float32


def test_padding_and_other_rows_do_not_reach_a_row():
    spec = LSTMSpec(4, 5, num_layers=2, bidirectional=True, proj_size=3, peephole=True)
    weights = spread_weights(spec, np.random.default_rng(0))
    inputs = spread_inputs(spec, 6, 4, np.random.default_rng(1), training=True)
    inputs = replace(inputs, lengths=np.array([6, 0, 3, 2]))
    plain = called(CorrectLSTM(spec, weights), inputs)
    assert Expected(spec, weights, inputs).judge(plain).agrees
    x, grad_y = inputs.x.copy(), inputs.grad_y.copy()
    for row, length in enumerate(inputs.lengths):
        x[length:, row] = grad_y[length:, row] = np.nan
    padded = called(CorrectLSTM(spec, weights), replace(inputs, x=x, grad_y=grad_y))
    for a, b in zip(arrays(plain), arrays(padded), strict=True):
        np.testing.assert_array_equal(a, b)
    x[0, 0] = np.nan
    with_nan = called(CorrectLSTM(spec, weights), replace(inputs, x=x))
    np.testing.assert_array_equal(with_nan.y[:, 1:], plain.y[:, 1:])
    assert np.isnan(with_nan.y[:, 0]).any()


def test_activations_of_right_ones_keep_their_promise():
    z = np.concatenate([np.linspace(-30, 30, 200_001), [-1e4, 1e4, 0.0, 1e-30]]).astype(np.float32)
    wide = z.astype(np.float64)
    for mutant in RIGHT:
        promises = mutant.backend.capabilities
        if "float32" in promises.precisions:
            spec = LSTMSpec(1, 1)
            backend = mutant.backend(spec, spread_weights(spec, np.random.default_rng(0)))
            with np.errstate(over="ignore"):
                errors = (backend.sigmoid(z) - 1 / (1 + np.exp(-wide)), backend.tanh(z) - np.tanh(wide))
            assert max(np.abs(e).max() for e in errors) * 2**24 <= promises.activation_ulps, mutant.name


# What a mutant gets: sizes, one for each that some mutant is only wrong at, and values likewise.

SIZES = [(7, 5, 9, 13), (6, 3, 4, 4), (1, 1, 1, 1), (3, 1, 2, 33), (4, 33, 2, 32)]  # T, B, I, H
LONG_OR_WIDE = [(135, 2, 3, 5), (2, 103, 2, 66)]
VALUES = ["spread", "large", "odd"]
PROBLEMS = [*((sizes, kind) for sizes in SIZES for kind in VALUES), *((sizes, "spread") for sizes in LONG_OR_WIDE)]


def with_values(kind, weights, inputs):
    x = inputs.x.copy()
    if kind == "large":  # saturated gates, an outlier, more than exp can take
        x[:, 0] *= 40
        return weights_times(weights, 30), replace(inputs, x=x)
    if kind == "odd":  # zeros of either sign, a small value, an infinity, a state of zeros, a row of NaN
        x[0] = 0
        x[-1, :, 0] = -0.0
        x[-1, :, -1] = 1e-5
        x[-1, -1, 0] = np.inf if x.shape[1] > 2 else -0.0
        h = np.zeros_like(inputs.state.h)
        if x.shape[1] > 1:
            h[:, 1] = np.nan
        return weights, replace(inputs, x=x, state=LSTMState(h, inputs.state.c))
    return weights, inputs


def weights_times(weights, factor):
    return LSTMWeights(
        tuple(
            tuple(type(d)(**{name: (a * factor).astype(a.dtype) for name, a in d.items()}) for d in layer)
            for layer in weights.layers
        )
    )


def spec_for(promises, precision, input_size, hidden):
    return LSTMSpec(
        input_size,
        hidden,
        num_layers=promises.num_layers or 3,
        bidirectional=promises.bidirectional,
        proj_size=(hidden + 1) // 2 if promises.projection and hidden > 1 else 0,
        bias=not promises.no_bias,
        peephole=promises.peephole,
        precision=precision,
    )


def strided(array):
    return None if array is None else np.ascontiguousarray(array.T).T


def calls(spec, promises, steps, batch, kind, weights, seed):
    """A conversation: other values, other sizes, strided, read-only, and the first call once more."""
    rng = np.random.default_rng(seed)
    made = []
    for t, b in ((steps, batch), (steps, batch), (steps + 2, batch), (steps, batch + 1)):
        inputs = spread_inputs(spec, t, b, rng, ragged=promises.lengths, training=promises.gradients)
        if inputs.lengths is not None:
            least = 0 if promises.zero_lengths else 1
            inputs.lengths[-1] = least
            if len(made) == 1:
                inputs.lengths[:] = least
        made.append(with_values(kind, weights, inputs)[1])
    first = made[0]
    x, state = strided(first.x), LSTMState(strided(first.state.h), strided(first.state.c))
    made.append(replace(first, x=x, state=state, grad_y=strided(first.grad_y)))
    read_only = Inputs(first.x.copy(), LSTMState(first.state.h.copy(), first.state.c.copy()), first.lengths)
    for array in (read_only.x, read_only.state.h, read_only.state.c):
        array.setflags(write=False)
    return [*made, read_only, first]


def copied(inputs):
    """The same inputs in memory of their own, each array laid out as it was."""

    def copy(array):
        if array is None:
            return None
        new = np.copy(array, order="K")
        new.setflags(write=array.flags.writeable)
        return new

    states = [None if s is None else LSTMState(copy(s.h), copy(s.c)) for s in (inputs.state, inputs.grad_state)]
    return Inputs(copy(inputs.x), states[0], copy(inputs.lengths), copy(inputs.grad_y), states[1])


def given(inputs):
    parts = [inputs.x, inputs.state.h, inputs.state.c, inputs.lengths, inputs.grad_y]
    return [a for a in parts if a is not None]


def unequal(got, wanted, allowed):
    if type(got) is not np.ndarray or got.dtype != wanted.dtype or got.shape != wanted.shape:
        return True
    a, b = got.astype(np.float64), wanted.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return True
    size = max(1.0, float(np.abs(b[finite]).max(initial=0)))
    return not bool(np.all(np.abs(a[finite] - b[finite]) <= allowed * size))


@cache
def given_weights(spec, kind, seed):
    weights = spread_weights(spec, np.random.default_rng([seed, 1]))
    return weights_times(weights, 30) if kind == "large" else weights


@cache
def expected_calls(promises, spec, steps, batch, kind, seed):
    """The inputs of each call, and the arrays that CorrectLSTM returns."""
    weights = given_weights(spec, kind, seed)
    found = calls(spec, promises, steps, batch, kind, weights, seed)
    return [(inputs, arrays(called(CorrectLSTM(spec, weights), copied(inputs)))) for inputs in found]


def fault(mutant, steps, batch, input_size, hidden, kind, seed=0):
    """What shows that the mutant is not CorrectLSTM, "" if nothing does."""
    promises = mutant.backend.capabilities
    for precision in sorted(promises.precisions):
        spec = spec_for(promises, precision, input_size, hidden)
        weights = given_weights(spec, kind, seed)
        allowed = 2.0 ** {"float64": -50, "float32": -21, "tf32": -12, "float16": -11, "bfloat16": -8}[precision]
        own = weights_times(weights, 1)
        backend = mutant.backend(spec, own)
        other = mutant.backend(spec, spread_weights(spec, np.random.default_rng([seed, 2])))
        if any(not np.array_equal(a, b) for (_, a), (_, b) in zip(own.items(), weights.items(), strict=True)):
            return "weights written"
        held, buffer = [], np.empty(0)
        conversation = expected_calls(promises, spec, steps, batch, kind, seed)
        second = conversation[1][0]
        for k, (inputs, wanted) in enumerate(conversation):
            mine = copied(inputs)
            if k == 1:  # the caller uses its buffer again
                np.copyto(buffer, mine.x)
                mine = replace(mine, x=buffer)
            buffer = mine.x
            before = [np.array(a) for a in given(mine)]
            try:
                if mine.grad_y is None or k:
                    results = called(backend, mine)
                else:  # an inference in between
                    y, last = backend.forward(mine.x, mine.state, mine.lengths, training=True)
                    backend.forward(mine.x, mine.state, mine.lengths)
                    results = Results(y, last.h, last.c, backend.backward(mine.grad_y, mine.grad_state))
                after = arrays(results)
                if any(unequal(a, b, 0) for a, b in held):
                    return f"call {k}: changes what was returned before"
                held = [(a, a.copy()) for a in after]
                if k < 2:  # another instance in between
                    called(other, copied(second))
            except Exception as error:
                return f"call {k}: {type(error).__name__}: {error}"
            if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(before, given(mine), strict=True)):
                return f"call {k}: inputs written"
            if len(wanted) != len(arrays(results)):
                return f"call {k}: results missing"
            for n, (got, w) in enumerate(zip(arrays(results), wanted, strict=True)):
                if unequal(got, w, allowed):
                    return f"call {k}: result {n} differs"
                if any(np.shares_memory(got, a) for a in given(mine)):
                    return f"call {k}: result {n} is an input"
            if any(unequal(a, b, 0) for a, b in held):
                return f"call {k}: another instance changes what was returned"
            if k == len(conversation) - 3:
                for a, _ in held:
                    a.fill(np.nan)
                held = []
    return ""


WITHOUT_WRONG_VALUES = {
    "order-of-sums-changes": "each result is right, they only differ from call to call",
    "gradients-not-deterministic": "each result is right, they only differ from call to call",
    "tail-uninitialised": "what memory holds may by chance be right",
    **dict.fromkeys(
        ("buffer-never-freed", "every-input-kept", "every-output-kept", "every-trace-kept", "kibibyte-kept"),
        "each result is right, the process only grows",
    ),
}


PROMISES = [  # what the mutants promise, here of CorrectLSTM
    {},
    {"precisions": frozenset(STORAGE)},
    {"lengths": True, "zero_lengths": True, "gradients": True},
    {"num_layers": 3, "bidirectional": True, "projection": True, "peephole": True, "lengths": True, "no_bias": True},
]


@pytest.mark.parametrize("promises", PROMISES, ids=lambda p: ", ".join(p) or "least")
def test_correct_lstm_shows_no_fault(promises):
    class Promising(CorrectLSTM):
        capabilities = Capabilities(**promises)

    mutant = Mutant("correct", "right", "nothing is wrong", Promising)
    few = "precisions" in promises or "num_layers" in promises  # each takes long
    for sizes, kind in PROBLEMS[:6] if few else PROBLEMS:
        assert not fault(mutant, *sizes, kind), (sizes, kind)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_each_wrong_one_differs(family):
    differing = [m for m in WRONG if m.family == family and m.name not in WITHOUT_WRONG_VALUES]
    assert not [m.name for m in differing if not any(fault(m, *sizes, kind) for sizes, kind in PROBLEMS)]


@pytest.mark.parametrize("name", ["order-of-sums-changes", "gradients-not-deterministic"])
def test_what_only_differs_from_call_to_call_does(name):
    mutant = next(m for m in WRONG if m.name == name)
    assert mutant.backend.capabilities.deterministic
    spec = LSTMSpec(9, 13)
    rng = np.random.default_rng(4)
    backend = mutant.backend(spec, spread_weights(spec, rng))
    inputs = spread_inputs(spec, 7, 5, rng, training=mutant.backend.capabilities.gradients)
    once, again = arrays(called(backend, inputs)), arrays(called(backend, inputs))
    assert any(not np.array_equal(a, b) for a, b in zip(once, again, strict=True))


def test_there_are_enough_of_every_family_each_with_a_name_and_a_line():
    assert len(WRONG) >= 490
    assert len(RIGHT) >= 10
    assert {m.family for m in WRONG} == FAMILIES
    assert {m.family for m in RIGHT} == {"right"}
    names = [m.name for m in (*WRONG, *RIGHT)]
    assert len(set(names)) == len(names)
    for m in (*WRONG, *RIGHT):
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", m.name)
        assert m.what
        assert not m.what.endswith(".")
    for m in (*WRONG[::50], *RIGHT[:1]):
        assert load_backend(f"{m.backend.__module__}:{m.backend.__name__}") is m.backend
    assert {m.after for m in WRONG} - {""} == DEFECTS


def test_every_gate_swap_is_there_in_both_16_bit_precisions():
    swaps = [m for m in WRONG if re.fullmatch(r"(input|forget|candidate)-and-(forget|candidate|output)-swapped.*", m.name)]
    promised = [next(iter(m.backend.capabilities.precisions)) for m in swaps]
    assert sorted(promised) == sorted(["float32", "float16", "bfloat16"] * 6)


def test_the_order_does_not_change():
    assert [m.name for m in wrong()] == [m.name for m in WRONG]
    keys = [(m.family, m.name) for m in WRONG]
    assert keys == sorted(keys)
