"""The result of a check: statuses, verdicts, shrinking, and which examples count."""

from dataclasses import replace

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, LSTMState
from lstm_parity.harness.oracle.sensitivity import OPERANDS, insensitive_to
from lstm_parity.harness.problems.regimes import REGIMES, draw_problem
from lstm_parity.harness.problems.requirements import ProblemRequirements
from lstm_parity.harness.verify.check import Check
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.results import CheckResult, Options, verdict_of
from lstm_parity.harness.verify.search import search
from lstm_parity.harness.verify.suite import run_check

BY_NAME = {check.name: check for check in CHECKS}
FORWARD = BY_NAME["forward-float32"]


def result_of(check, backend, **options):
    return run_check(check, "a test's", LocalExecutor(backend), backend.capabilities, Options(**options))


def swapped(plain):
    return type("Swapped", (plain,), {"gates": "figo"})


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        (["PASS", "SKIP", "KNOWN"], "PASS"),
        (["PASS", "UNVERIFIED", "FAIL"], "FAIL"),
        (["PASS", "UNVERIFIED"], "UNVERIFIED"),
        (["SKIP", "SKIP"], "UNVERIFIED"),
        ([], "UNVERIFIED"),
        (["KNOWN"], "PASS"),
    ],
)
def test_verdict(statuses, verdict):
    assert verdict_of([CheckResult("a", status) for status in statuses]) == verdict


def test_a_right_backend_passes_and_its_examples_are_counted(plain):
    found = result_of(FORWARD, plain, examples=3)
    assert (found.status, found.examples, found.reason) == ("PASS", 12, "")


def test_swapped_gates_fail_on_the_smallest_problem(plain):
    found = result_of(FORWARD, swapped(plain))
    assert found.status == "FAIL"
    assert found.reason.startswith("T=1 B=1 I=1 H=1, float32")
    assert "y is first wrong at step 0, row 0, unit 0" in found.reason
    assert found.hints == ("matches exactly if gates i and f are swapped",)


def test_missing_promises_are_skipped_with_a_reason(plain):
    for name, reason in (
        ("gradients-float32", "gradients"),
        ("forward-float16", "precision float16"),
        ("lengths-full", "sequences of different lengths"),
    ):
        found = result_of(BY_NAME[name], plain)
        assert (found.status, found.reason) == ("SKIP", f"not promised: {reason}")


def test_known_failure(plain):
    known = {"forward-float32": "gates are Keras's, see the table"}
    assert result_of(FORWARD, swapped(plain), known=known).status == "KNOWN"
    cured = result_of(FORWARD, plain, known=known, examples=3)
    assert cured.status == "FAIL"
    assert "it passes: remove it from the list" in cured.reason


def test_a_check_whose_examples_are_insensitive_is_unverified(plain):
    zeros = Check(
        "zeros",
        "zeros stay zeros",
        lambda run, problem: run.call(problem),
        ProblemRequirements(bias=True),
        prepare=_all_zero,
    )
    found = result_of(zeros, plain, examples=5)
    assert found.status == "UNVERIFIED"
    assert found.reason.startswith("no drawn problem could show an error in x, h0, c0, W, U, b")


def _all_zero(problem, _):
    zeros = problem.map_weights(lambda _, a: np.zeros_like(a))
    state = problem.inputs.state
    return zeros.with_inputs(x=np.zeros_like(problem.inputs.x), state=LSTMState(np.zeros_like(state.h), np.zeros_like(state.c)))


def test_spread_values_are_sensitive_to_every_operand():
    for precision in ("float64", "float32", "tf32", "float16", "bfloat16"):
        for options in ({}, {"num_layers": 2}, {"bidirectional": True}):
            problem = draw_problem(LSTMSpec(9, 13, precision=precision, **options), 7, 5, seed=0)
            assert insensitive_to(problem, OPERANDS, 4) == []


@pytest.mark.parametrize(
    ("changed", "insensitive"),
    [
        ({"x": 0.0}, {"x", "W"}),
        ({"h0": 0.0}, {"h0", "U"}),
        ({"c0": 0.0}, {"c0"}),
        ({"b_ih": 0.0, "b_hh": 0.0}, {"b"}),
        ({"b_ih": 100.0, "w_ih": 0.0, "w_hh": 0.0}, {"x", "h0", "W", "U"}),
    ],
)
def test_insensitive_operands_are_found(changed, insensitive):
    problem = draw_problem(LSTMSpec(3, 4, precision="float32"), 1, 2, seed=0)
    weights = {name: value for name, value in changed.items() if "_" in name}
    problem = problem.map_weights(lambda name, a: np.full_like(a, weights[name]) if name in weights else a)
    state = problem.inputs.state
    fill = {name: value for name, value in changed.items() if name not in weights}
    arrays = {"x": problem.inputs.x, "h0": state.h, "c0": state.c}
    arrays |= {name: np.full_like(arrays[name], value) for name, value in fill.items()}
    problem = problem.with_inputs(x=arrays["x"], state=LSTMState(arrays["h0"], arrays["c0"]))
    assert set(insensitive_to(problem, OPERANDS, 4)) == insensitive


def test_drawn_sizes_reach_tile_boundaries(plain):
    """T=1, B=1, H=1, sizes at tile boundaries and beyond them, long T."""
    seen = []
    drawing = replace(
        FORWARD, body=lambda _, p: seen.append((p.steps, p.batch, p.spec.input_size, p.spec.hidden_size)), sensitive_to=()
    )
    for number in range(16):
        search(drawing, LocalExecutor(plain), plain.capabilities, examples=30, seed_value=number)
    for axis, most in ((0, 257), (1, 100), (2, 100), (3, 100)):
        sizes = {sizes[axis] for sizes in seen}
        assert 1 in sizes
        assert max(sizes) >= most
        assert len(sizes) > 18, f"axis {axis}: {sorted(sizes)}"


@pytest.mark.parametrize("regime", ["spread", *REGIMES])
@pytest.mark.parametrize("precision", ["float64", "float32", "tf32", "float16", "bfloat16"])
def test_regimes_are_finite_and_pure(regime, precision):
    spec = LSTMSpec(3, 5, bidirectional=True, proj_size=2, peephole=True, precision=precision)
    first, second = (draw_problem(spec, 4, 3, seed=7, regime=regime, training=True) for _ in range(2))
    first.weights.validate(spec)
    for a, b in zip(*([*p.inputs.arrays(), *(a for _, a in p.weights.items())] for p in (first, second)), strict=True):
        assert a.dtype == spec.dtype
        assert np.isfinite(a.astype(np.float64)).all()
        assert a.tobytes() == b.tobytes()


def test_the_same_seed_draws_the_same_problems(plain):
    def drawn(seed):
        seen = []

        class Watched(plain):
            def forward(self, x, state, lengths=None, training=False):
                seen.append(x.tobytes())
                return super().forward(x, state, lengths, training)

        search(FORWARD, LocalExecutor(Watched), plain.capabilities, examples=10, seed_value=seed)
        return seen

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_names_are_unique_and_claims_are_sentences():
    assert len(BY_NAME) == len(CHECKS)
    for check in CHECKS:
        assert check.name == check.name.lower()
        assert 10 < len(check.claim) < 120
        assert "\n" not in check.claim


def test_only_failing_examples_are_saved(plain, tmp_path):
    search(FORWARD, LocalExecutor(plain), plain.capabilities, examples=5, seed_value=0, database=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    backend = swapped(plain)
    search(FORWARD, LocalExecutor(backend), backend.capabilities, examples=5, seed_value=0, database=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
