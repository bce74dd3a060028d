"""Whatever a backend returns in place of what the interface asks for is a FormError that names it."""

from dataclasses import replace
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from lstm_parity.backends import LSTMGradients, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.problems.values import spread_inputs, spread_weights
from lstm_parity.harness.worker.calls import FormError, HostReader, Output, call, fill_with_nan, poison, upload

T, B = 3, 5
SPEC = LSTMSpec(input_size=2, hidden_size=4, num_layers=2, bidirectional=True)


class Boxed:
    """An array of a backend's own kind."""

    def __init__(self, array):
        self.array = array


class BoxedLSTM(NumpyLSTM):
    """The right answers in arrays of another kind than NumPy's."""

    def to_device(self, array):
        return Boxed(array)

    def to_host(self, array):
        return array.array

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x.array, LSTMState(state.h.array, state.c.array), lengths, training)
        return Boxed(y), LSTMState(Boxed(last.h), Boxed(last.c))


def prepared(spec=SPEC, training=True, backend_class=NumpyLSTM, seed=0):
    rng = np.random.default_rng(seed)
    backend = backend_class(spec, spread_weights(spec, rng))
    return backend, spread_inputs(spec, T, B, rng, training=training)


def output_of(backend, inputs, training=True):
    return call(backend, upload(backend, inputs), training)


def weights_with(output, changed):
    return replace(output, gradients=replace(output.gradients, weights=changed(output.gradients.weights)))


def one_changed(weights, **fields):
    """The weights with fields of layer 1, direction 0 replaced."""
    layers = [list(layer) for layer in weights.layers]
    layers[1][0] = replace(layers[1][0], **fields)
    return LSTMWeights(layers)


@pytest.mark.parametrize(
    ("layers", "both", "projected", "bias", "peephole", "training", "precision"),
    [*product((1, 2), (False, True), (0, 3), (False, True), (False, True), (False, True), ("float64",))]
    + [(2, True, 0, True, False, True, p) for p in ("float32", "tf32", "float16", "bfloat16")],
)
def test_what_a_right_backend_returns_is_read_as_it_is(layers, both, projected, bias, peephole, training, precision):
    spec = LSTMSpec(2, 4, layers, both, projected, bias, peephole, precision)
    backend, inputs = prepared(spec, training)
    output = output_of(backend, inputs, training)
    found = HostReader(backend, spec).read(output, T, B)
    assert len(found.arrays()) == len(output.arrays())
    assert all(a is b for a, b in zip(found.arrays(), output.arrays(), strict=True))  # nothing is copied
    if training:
        found.gradients.weights.validate(spec)


def test_rows_are_copied_and_the_gradients_of_weights_stay_whole():
    backend, inputs = prepared()
    output = output_of(backend, inputs)
    rows = np.array([1, 4])
    found = HostReader(backend, SPEC).read(output, T, B, rows)
    whole, some = output.arrays(), found.arrays()
    for a, b in zip(some[:6], whole[:6], strict=True):
        np.testing.assert_array_equal(a, b[:, rows])
        assert a.flags.c_contiguous
        assert not np.shares_memory(a, b)
    assert all(a is b for a, b in zip(some[6:], whole[6:], strict=True))


def test_gradients_are_only_asked_for_in_training():
    backend, inputs = prepared(training=True)
    assert output_of(backend, inputs, training=False).gradients is None


def test_arrays_of_a_kind_of_their_own_are_put_up_and_brought_down():
    backend, inputs = prepared(training=False, backend_class=BoxedLSTM)
    arguments = upload(backend, inputs)
    assert [type(a) for a in (arguments[0], arguments[1].h, arguments[1].c)] == [Boxed] * 3
    found = HostReader(backend, SPEC).read(call(backend, arguments, False), T, B)
    assert [type(a) for a in found.arrays()] == [np.ndarray] * 3
    with pytest.raises(FormError, match=r"^y is float32 of shape \(3, 5, 8\), expected what to_device gives, a Boxed$"):
        HostReader(backend, SPEC).read(output_of(*prepared(training=False), training=False), T, B)


def test_upload_uses_the_put_that_it_is_given():
    backend, inputs = prepared()
    seen = []
    arguments = upload(backend, inputs, lambda array: seen.append(array) or array)
    expected = [inputs.x, inputs.state.h, inputs.state.c, inputs.grad_y, inputs.grad_state.h, inputs.grad_state.c]
    assert {id(a) for a in seen} == {id(a) for a in expected}
    assert len(arguments) == 5


RETURNED = {
    "None": (lambda y, s: None, "forward returned a NoneType, expected"),
    "y alone": (lambda y, s: y, "forward returned a ndarray, expected"),
    "a list": (lambda y, s: [y, s], "forward returned a list, expected"),
    "three": (lambda y, s: (y, s, s.c), "forward returned a tuple of 3, expected"),
    "a pair for the state": (lambda y, s: (y, (s.h, s.c)), "forward returned a tuple of 2, expected"),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", RETURNED)
def test_forward_returns_something_else(name, training, monkeypatch):
    change, message = RETURNED[name]
    right = NumpyLSTM.forward
    monkeypatch.setattr(NumpyLSTM, "forward", lambda *a, **k: change(*right(*a, **k)))
    with pytest.raises(FormError, match=f"^{message}"):
        output_of(*prepared(training=training), training)


GRADIENTS = {
    "None": (lambda g: None, "backward returned a NoneType, expected LSTMGradients"),
    "a tuple": (lambda g: (g.x, g.h0, g.c0, g.weights), "backward returned a tuple, expected LSTMGradients"),
    "no weights": (lambda g: replace(g, weights=None), "the gradients of the weights are a NoneType, expected LSTMWeights"),
    "weights as a list": (
        lambda g: replace(g, weights=[w for _, w in g.weights.items()]),
        "the gradients of the weights are a list, expected LSTMWeights",
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_backward_returns_something_else(name, monkeypatch):
    change, message = GRADIENTS[name]
    right = NumpyLSTM.backward
    monkeypatch.setattr(NumpyLSTM, "backward", lambda *a: change(right(*a)))
    with pytest.raises(FormError, match=f"^{message}$"):
        output_of(*prepared())


WRONG_WEIGHTS = {
    "no layers": (lambda w: LSTMWeights(()), "the gradients of the weights have 0 layers, expected 2"),
    "a layer too few": (lambda w: LSTMWeights(w.layers[:1]), "the gradients of the weights have 1 layers, expected 2"),
    "a layer too many": (lambda w: LSTMWeights(w.layers * 2), "the gradients of the weights have 4 layers, expected 2"),
    "a direction too few": (
        lambda w: LSTMWeights((w.layers[0], w.layers[1][:1])),
        r"the gradients of layers\[1\] have 1 directions, expected 2",
    ),
    "None for a direction": (
        lambda w: LSTMWeights((w.layers[0], (None, w.layers[1][1]))),
        r"the gradient of layers\[1\]\[0\] is a NoneType, expected DirectionWeights",
    ),
    "an array for a direction": (
        lambda w: LSTMWeights((w.layers[0], (w.layers[1][0].w_ih, w.layers[1][1]))),
        r"the gradient of layers\[1\]\[0\] is float32 of shape \(16, 8\), expected DirectionWeights",
    ),
    "None for a weight": (
        lambda w: one_changed(w, b_hh=None),
        r"the gradient of layers\[1\]\[0\].b_hh is a NoneType, expected what to_device gives, a ndarray",
    ),
    "a list for a weight": (
        lambda w: one_changed(w, w_hh=w.layers[1][0].w_hh.tolist()),
        r"the gradient of layers\[1\]\[0\].w_hh is a list, expected what to_device gives, a ndarray",
    ),
    "a weight that the spec lacks": (
        lambda w: one_changed(w, peephole=np.zeros((3, 4), np.float32)),
        r"the gradient of layers\[1\]\[0\].peephole is float32 of shape \(3, 4\), expected None: the spec has no such weight",
    ),
    "another shape": (
        lambda w: one_changed(w, w_hh=w.layers[1][0].w_hh[1:]),
        r"the gradient of layers\[1\]\[0\].w_hh is float32 of shape \(15, 4\), expected float32 of shape \(16, 4\)",
    ),
    "another dtype": (
        lambda w: one_changed(w, b_ih=w.layers[1][0].b_ih.astype(np.float64)),
        r"the gradient of layers\[1\]\[0\].b_ih is float64 of shape \(16,\), expected float32 of shape \(16,\)",
    ),
}


@pytest.mark.parametrize("name", WRONG_WEIGHTS)
def test_gradients_of_weights_of_another_form(name):
    change, message = WRONG_WEIGHTS[name]
    backend, inputs = prepared()
    output = weights_with(output_of(backend, inputs), change)
    with pytest.raises(FormError, match=f"^{message}$"):
        HostReader(backend, SPEC).read(output, T, B)
    poison([output])  # what is not of the form is dropped as it is


class Late(np.ndarray):
    """A subclass could compute its values when it is read."""


WRONG_ARRAYS = {
    "None": (lambda a: None, r"a NoneType, expected what to_device gives, a ndarray"),
    "a list": (lambda a: a.tolist(), r"a list, expected what to_device gives, a ndarray"),
    "a subclass": (lambda a: a.view(Late), r"a Late, expected what to_device gives, a ndarray"),
    "another dtype": (lambda a: a.astype(np.float64), r"float64 of shape \(.*\), expected float32 of shape \(.*\)"),
    "a step or state less": (lambda a: a[1:], r"float32 of shape \(.*\), expected float32 of shape \(.*\)"),
    "a row less": (lambda a: a[:, 1:], r"float32 of shape \(.*\), expected float32 of shape \(.*\)"),
}
PLACES = {
    "y": lambda o, f: Output(f(o.y), o.state, o.gradients),
    "h_n": lambda o, f: Output(o.y, LSTMState(f(o.state.h), o.state.c), o.gradients),
    "c_n": lambda o, f: Output(o.y, LSTMState(o.state.h, f(o.state.c)), o.gradients),
    "the gradient of x": lambda o, f: replace(o, gradients=replace(o.gradients, x=f(o.gradients.x))),
    "the gradient of h0": lambda o, f: replace(o, gradients=replace(o.gradients, h0=f(o.gradients.h0))),
    "the gradient of c0": lambda o, f: replace(o, gradients=replace(o.gradients, c0=f(o.gradients.c0))),
}


@pytest.mark.parametrize("rows", [None, [0]])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_an_array_of_another_form(name, place, rows):
    change, message = WRONG_ARRAYS[name]
    backend, inputs = prepared()
    output = PLACES[place](output_of(backend, inputs), change)
    with pytest.raises(FormError, match=f"^{place} is {message}$"):
        HostReader(backend, SPEC).read(output, T, B, None if rows is None else np.array(rows))


def test_what_to_host_gives_is_looked_at_too():
    class Puts(BoxedLSTM):
        def to_host(self, array):
            return array.array.view(Late)

    backend, inputs = prepared(training=False, backend_class=Puts)
    with pytest.raises(FormError, match=r"^y is a Late, expected float32 of shape \(3, 5, 8\)$"):
        HostReader(backend, SPEC).read(output_of(backend, inputs, training=False), T, B)


def test_everything_that_was_returned_is_poisoned():
    backend, inputs = prepared()
    outputs = [output_of(backend, inputs) for _ in range(2)]
    poison(outputs)
    arrays = [array for output in outputs for array in output.arrays()]
    assert len(arrays) == 2 * (3 + 3 + 4 * 4)
    assert all(np.isnan(array).all() for array in arrays)


def test_what_cannot_be_written_is_left():
    backend, inputs = prepared()
    output = output_of(backend, inputs)
    output.y.flags.writeable = False
    output.gradients = LSTMGradients(None, output.gradients.h0, output.gradients.c0, output.gradients.weights)
    poison([output])
    assert np.isfinite(output.y).all()
    assert np.isnan(output.state.h).all()
    assert np.isnan(output.gradients.h0).all()


def test_an_array_that_holds_a_formats_bits_is_filled_too():
    bits = np.zeros(3, np.uint16)
    fill_with_nan(bits)
    assert np.isnan(bits.view(ml_dtypes.bfloat16).astype(np.float32)).all()
