"""The precision audit: backends of the promised precision pass, others fail, and their rounding is named."""

from dataclasses import replace

import numpy as np
import pytest

from lstm_parity.backends import Capabilities, LSTMSpec, load_backend
from lstm_parity.backends.problem import STORAGE
from lstm_parity.harness.faults.lstm import EVERYTHING, CorrectLSTM
from lstm_parity.harness.faults.mutants import right, wrong
from lstm_parity.harness.faults.rounding import rounded_to, tf32_rounded
from lstm_parity.harness.oracle.precision.exact_sums import exact_residuals
from lstm_parity.harness.oracle.precision.promise import bits_lost
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.problems.cancelling import LARGER, SHIFT, cancelling, scaled, without_products
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.checks import precision as audit
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.search import search

pytestmark = pytest.mark.deep

WIDE = ("float64", "float32")
AUDITS = {check.name.removeprefix("precision-"): check for check in audit.checks}


def audited(backend, precision, examples=2, seed=7):
    found = search(
        AUDITS[precision],
        LocalExecutor(backend),
        backend.capabilities,
        examples=examples,
        seed_value=seed,
        shrink=False,
    )
    assert not found.insensitive
    assert found.failure is not None or found.examples == examples
    return found


def cases(mutants):
    return [pytest.param(m.backend, p, id=f"{m.name}-{p}") for m in mutants for p in sorted(m.backend.capabilities.precisions)]


@pytest.mark.parametrize(("backend", "precision"), cases(right()))
def test_right_ones_pass_with_narrower_limits(backend, precision, monkeypatch):
    monkeypatch.setitem(audit.MAX_LOST, precision, 1.0 if precision in WIDE else 0.4)
    found = audited(backend, precision)
    assert found.failure is None, found.failure.reason


@pytest.mark.parametrize("name", ["numpy", "torch-cpu"])
@pytest.mark.parametrize("precision", STORAGE)
def test_own_backends_pass_and_measure_the_promised_bits(name, precision):
    if name == "torch-cpu":
        pytest.importorskip("torch", reason="torch is not installed")
    found = audited(load_backend(name), precision, examples=4)
    assert found.failure is None, found.failure.reason
    assert len(found.bits) == 4
    if precision in WIDE:
        assert all(abs(bits - {"float64": 53, "float32": 24}[precision]) <= 1 for bits in found.bits)


NAMES = {
    "tf32-rounded-behind-float32": "the operands of the products are rounded to TF32: ",
    "tf32-truncated-behind-float32": "the operands of the products are rounded to TF32: ",
    "tf32-recurrence-behind-float32": "the operands of U h' are rounded to TF32 or float16: ",
    "tf32-input-behind-float32": "x is rounded to TF32: ",
    "float16-products-behind-float32": "the operands of the products are rounded to float16: ",
    "bfloat16-products-behind-float32": "the operands of the products are rounded to bfloat16: ",
    "bfloat16-products-behind-float16": "the operands of the products are rounded to bfloat16: ",
    "bfloat16-products-behind-tf32": "the operands of the products are rounded to bfloat16: ",
    "float32-products-behind-float64": "the operands of the products are rounded to float32: ",
    "float16-accumulation-behind-float16": "",
    "bfloat16-accumulation-behind-bfloat16": "",
    "float16-cell-behind-float32": "c is rounded to TF32 or float16: ",
    "bfloat16-cell-behind-float32": "c is rounded to bfloat16: ",
    "bfloat16-cell-behind-float16": "c is rounded to bfloat16: ",
    "float32-cell-behind-float64": "c is rounded to float32: ",
    "float16-hidden-behind-float32": "h is rounded to TF32 or float16: ",
    "bfloat16-weights-behind-float32": "U is rounded to bfloat16: ",
    "float16-gates-behind-float32": "i, f and o are rounded to TF32 or float16: ",
    "float32-behind-float64": "",
    "float32-activations-behind-float64": "",
    "float16-initial-state-behind-float32": "c0 is rounded to TF32 or float16: ",
}
MISNAMED = {m.name: m.backend for m in wrong() if m.family == "precision"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_wrong_ones_fail_with_wider_limits_and_are_named(name, seed, monkeypatch):
    backend = MISNAMED[name]
    (precision,) = backend.capabilities.precisions
    monkeypatch.setitem(audit.MAX_LOST, precision, 5.0 if precision in WIDE else 1.4)
    found = audited(backend, precision, seed=seed)
    assert found.failure is not None
    assert found.failure.kind == "wrong"
    reason = found.failure.reason
    assert reason.startswith(NAMES[name])
    assert ("rounded to" in reason) == bool(NAMES[name])  # no name where none is supported
    assert ("effective bits" in reason) == (precision in WIDE)


class Coarse(CorrectLSTM):
    """Every activation has the maximum promised error, always positive."""

    capabilities = Capabilities(**EVERYTHING | {"activation_ulps": 1000, "precisions": frozenset({"float32", "float16"})})

    def off(self, exact):
        return (exact + 0.99 * self.capabilities.activation_ulps * 2.0**-24).astype(self.compute)

    def sigmoid(self, z):
        return self.off(1 / (1 + np.exp(-z.astype(np.float64))))

    def tanh(self, z):
        return self.off(np.tanh(z.astype(np.float64)))


class CoarseWithTf32(Coarse):
    capabilities = Capabilities(precisions=frozenset({"float32"}), activation_ulps=1000)

    def product(self, a, b):
        return np.matmul(tf32_rounded(a), tf32_rounded(b))


class CoarserThanPromised(Coarse):
    capabilities = Capabilities(activation_ulps=4)

    def off(self, exact):
        return (exact + 64 * 2.0**-24).astype(self.compute)


class SumsKeptInFloat16(CorrectLSTM):
    capabilities = Capabilities(precisions=frozenset({"float32"}), activation_ulps=64)

    def product(self, a, b):
        total = np.zeros((len(a), b.shape[1]), self.compute)
        for k in range(a.shape[1]):
            total = rounded_to(total + a[:, k, None] * b[k], np.float16)
        return total


class RoundsEverything(CorrectLSTM):
    """Every product, sum, gate and c is rounded to 16 bits."""

    capabilities = Capabilities(**EVERYTHING | {"precisions": frozenset({"float16", "bfloat16"})})

    def product(self, a, b):
        return self.stored(super().product(a, b))

    def input_products(self, p, x):
        return self.stored(super().input_products(p, x))

    def gate_sums(self, p, wx, h):
        return self.stored(super().gate_sums(p, wx, h))

    def sigmoid(self, z):
        return self.stored(super().sigmoid(z))

    def tanh(self, z):
        return self.stored(super().tanh(z))

    def cell(self, i, f, g, c):
        return self.stored(self.stored(f * c) + self.stored(i * g))


class FinalCellInFloat16(CorrectLSTM):
    capabilities = Capabilities(precisions=frozenset({"float32"}))

    def final(self, y, h, c):
        return y, h, rounded_to(c, np.float16)


class SeparateBiases(RoundsEverything):
    """b_ih is added to W x, b_hh to the rest; each sum is rounded."""

    def __init__(self, spec, weights):
        self.b_hh = weights.layers[0][0].b_hh.astype(np.float32)
        super().__init__(spec, weights)

    def bias(self, w):
        return self.load(w.b_ih)

    def gate_sums(self, p, wx, h):
        return self.stored(wx + self.stored(self.product(h, p.w_hh) + self.b_hh))


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_the_rounding_of_each_of_two_large_opposite_biases_is_allowed(precision):
    def opposite(w, *_):
        large = np.full(len(w.w_ih), 21.0).astype(w.w_ih.dtype)
        return replace(w, b_ih=large, b_hh=-large)

    problem = draw_problem(LSTMSpec(9, 8, precision=precision), 6, 32, 3).with_weights(opposite)
    y, last = SeparateBiases(problem.spec, problem.weights).forward(problem.inputs.x, problem.inputs.state)
    assert -2 < bits_lost(problem, Results(y, last.h, last.c), 4) < 0.3


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_rounding_everything_to_16_bits_is_allowed(precision, monkeypatch):
    monkeypatch.setitem(audit.MAX_LOST, precision, 0.0)
    found = audited(RoundsEverything, precision, examples=6)
    assert found.failure is None, found.failure.reason


def test_the_final_cell_is_audited():
    assert audited(FinalCellInFloat16, "float32").failure is not None


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_activations_may_have_the_promised_error(precision):
    assert audited(Coarse, precision, examples=4).failure is None


def test_tf32_is_found_with_coarse_activations():
    found = audited(CoarseWithTf32, "float32", examples=4)
    assert found.failure is not None
    assert found.failure.reason.startswith("the operands of the products are rounded to TF32")


@pytest.mark.parametrize("backend", [CoarserThanPromised, SumsKeptInFloat16])
def test_errors_that_no_rounding_explains_are_not_named(backend):
    found = audited(backend, "float32", examples=4)
    assert found.failure is not None
    assert "rounded" not in found.failure.reason


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("seed", [0, 1])
def test_terms_cancel(precision, seed):
    spread = draw_problem(LSTMSpec(17, 16, precision=precision), 3, 32, seed)
    for name in ("W", "U"):
        problem = cancelling(spread, name, seed)
        w = problem.weights.layers[0][0].astype(np.float64)
        read = np.asarray(problem.inputs.x[0] if name == "W" else problem.inputs.state.h[0], np.float64)
        matrix = w.w_ih if name == "W" else w.w_hh
        terms, z = (np.abs(read) @ np.abs(matrix).T).mean(), np.abs(read @ matrix.T).mean()
        assert terms > LARGER / 2 * z
        assert 0.3 < z < 3
    if precision != "float16":
        start = cancelling(spread, "W", seed)
        moved = scaled(start)
        for a, b, power in (
            (moved.inputs.x, start.inputs.x, -SHIFT),
            (moved.weights.layers[0][0].w_ih, start.weights.layers[0][0].w_ih, SHIFT),
        ):
            np.testing.assert_array_equal(np.asarray(a, np.float64), np.ldexp(np.asarray(b, np.float64), power))
    quiet = without_products(spread)
    assert not np.any(np.asarray(quiet.inputs.x, np.float64))
    assert not np.any(np.asarray(quiet.inputs.state.h, np.float64))
    assert np.any(np.asarray(quiet.inputs.state.c, np.float64))


def test_exact_residuals_are_those_of_half_steps():
    """Weights of 0: c is c0 / 2 and h is tanh(c) / 2; c0 = 2 log 2 makes tanh(c) 3/5."""
    spec = LSTMSpec(3, 2, precision="float64", bias=False)
    problem = draw_problem(spec, 1, 2, 0).with_weights(lambda w, *_: type(w)(0 * w.w_ih, 0 * w.w_hh))
    w, i = problem.weights.layers[0][0], problem.inputs
    c0 = np.full((2, 2), 2 * np.log(2.0))
    y = np.full((1, 2, 2), 0.3)
    of_y, of_c = exact_residuals(w, i.x, i.state.h, c0, y, c0 / 2, np.array([0, 1]), np.array([1, 0]))
    # float64 lacks 2.32e-17 of log 2, whose slope is (1 - 9/25) / 2; and 0.3 is itself off by -1.11e-17
    np.testing.assert_allclose(of_y, -1.11e-17 + 0.32 * 2.319e-17, atol=1e-19)
    assert np.abs(of_c).max() < 1e-45


@pytest.mark.parametrize("seed", range(3))
def test_exact_residuals_agree_with_float64_to_its_last_digits(seed):
    spec = LSTMSpec(5, 4, precision="float64")
    problem = draw_problem(spec, 3, 2, seed)
    w, i = problem.weights.layers[0][0], problem.inputs
    y, last = load_backend("numpy")(spec, problem.weights).forward(i.x, i.state)
    before = np.concatenate([i.state.h, y[:-1]])
    rows, units = np.array([0, 1, 1]), np.array([0, 3, 2])
    of_y, of_c = exact_residuals(w, i.x, before, i.state.c[0], y, last.c[0], rows, units)
    assert 0 < np.abs(of_y).max() < 2.0**-50
    assert np.abs(of_c).max() < 2.0**-49
    moved = exact_residuals(w, i.x, before, i.state.c[0], y + 2.0**-40, last.c[0], rows, units)[0]
    np.testing.assert_allclose(moved - of_y, 2.0**-40, rtol=1e-3)
