"""Hints: the right suspect is named for planted faults, none for what no suspect explains, and where it is off is said."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lstm_parity.backends import Capabilities, LSTMSpec, LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.oracle.location import Spot
from lstm_parity.harness.oracle.noise import run_once
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.hints.blame import gate_blame
from lstm_parity.harness.verify.hints.cases import run_case
from lstm_parity.harness.verify.hints.hints import find_hints, hints
from lstm_parity.harness.verify.hints.suspects import RIGHT_BACKWARD, forward_suspects, gradient_suspects, vary_backward
from lstm_parity.harness.verify.hints.variation import RIGHT, vary
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.program import (
    BackendFaultError,
    DisagreementError,
    FailureLocation,
    Program,
    ProgramRun,
    locate,
)
from lstm_parity.harness.verify.search import search

pytestmark = pytest.mark.deep

EVERYTHING = LSTMSpec(4, 3, num_layers=2, bidirectional=True, proj_size=2, peephole=True, precision="float64")
PLAIN = LSTMSpec(3, 3, precision="float64")


def faulty(precision="float32", **promises):
    """A decorator's part: NumpyLSTM that promises this and no more."""
    return type("Faulty", (NumpyLSTM,), {"capabilities": Capabilities(precisions=frozenset({precision}), **promises)})


def with_weights(change, **promises):
    """A backend whose weights are changed(w) of each direction."""
    base = faulty(**promises)

    class Wrong(base):
        def __init__(self, spec, weights):
            layers = tuple(tuple(change(w) for w in layer) for layer in weights.layers)
            super().__init__(spec, replace(weights, layers=layers))

    return Wrong


def with_forward(change, **promises):
    """A backend whose forward is change(the right forward, x, state, lengths)."""
    base = faulty(**promises)

    class Wrong(base):
        def forward(self, x, state, lengths=None, training=False):
            return change(lambda *a: super(Wrong, self).forward(*a, training), x, state, lengths)

    return Wrong


def packed(order):
    def change(w):
        rows = np.arange(len(w.w_hh)).reshape(4, -1)[list(order)].ravel()
        return replace(w, w_ih=w.w_ih[rows], w_hh=w.w_hh[rows], b_ih=w.b_ih[rows], b_hh=w.b_hh[rows])

    return change


def tf32(array):
    bits = np.ascontiguousarray(array, np.float32).view(np.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(np.float32)


def hints_for(backend, check_name, seed=2):
    check = next(c for c in CHECKS if c.name == check_name)
    executor, ulps = LocalExecutor(backend), backend.capabilities.activation_ulps
    found = search(check, executor, backend.capabilities, examples=30, seed_value=seed)
    assert found.failure is not None, f"{check_name} does not fail with seed {seed}"
    finding = locate(found.failure, ulps)
    return find_hints(found.failure, found.first_failure, finding, executor, ulps)


KEEP_TAIL = {"keep": 4}


def tail_kept(forward, x, state, lengths):
    y, last = forward(x, state, lengths)
    y, h = y.copy(), last.h.copy()
    y[-1, :, KEEP_TAIL["keep"] :] = 0
    h[..., KEEP_TAIL["keep"] :] = 0
    return y, LSTMState(h, last.c)


PLANTED = {
    "gates i and f are swapped": (with_weights(packed((1, 0, 2, 3))), "forward-float32"),
    "gates g and o are swapped": (with_weights(packed((0, 1, 3, 2)), precision="bfloat16"), "forward-bfloat16"),
    "the packed gates are read in the order i, o, f, g, ONNX's": (with_weights(packed((0, 2, 3, 1))), "forward-float32"),
    "b_hh is ignored": (with_weights(lambda w: replace(w, b_hh=w.b_hh * 0)), "forward-float32"),
    "h0 is zero": (with_forward(lambda f, x, s, n: f(x, LSTMState(s.h * 0, s.c), n)), "forward-float32"),
    "c_n is tanh(c)": (
        with_forward(lambda f, x, s, n: (f(x, s, n)[0], LSTMState(f(x, s, n)[1].h, np.tanh(f(x, s, n)[1].c)))),
        "forward-float32",
    ),
    "lengths are ignored: all rows run to T": (
        with_forward(lambda f, x, s, n: f(x, s, None), lengths=True),
        "lengths-row-alone",
    ),
    "the peepholes of i and f are swapped": (
        with_weights(lambda w: w if w.peephole is None else replace(w, peephole=w.peephole[[1, 0, 2]]), peephole=True),
        "forward-float32",
    ),
    "U of each gate is transposed": (
        with_weights(lambda w: replace(w, w_hh=np.concatenate([u.T for u in np.split(w.w_hh, 4)]))),
        "forward-float32",
    ),
}


@pytest.mark.parametrize("words", PLANTED)
def test_a_planted_fault_is_named(words):
    assert hints_for(*PLANTED[words]) == [f"matches exactly if {words}"]


def test_products_in_tf32_are_named():
    class Wrong(with_weights(lambda w: replace(w, w_ih=tf32(w.w_ih), w_hh=tf32(w.w_hh)))):
        def forward(self, x, state, lengths=None, training=False):
            h, c, y = tf32(state.h), state.c, []
            for t in range(len(x)):
                out, last = super().forward(tf32(x[t : t + 1]), LSTMState(h, c))
                y.append(out)
                h, c = tf32(last.h), last.c
            return np.concatenate(y), last

    assert hints_for(Wrong, "forward-float32") == [
        "the residual is that of TF32 or float16 (operands of products rounded to 10 bits)"
    ]


@pytest.mark.parametrize("words", ["the gradients of h_n and c_n are ignored", "all gradients are doubled"])
def test_a_wrong_backward_is_named(words):
    class Wrong(faulty(gradients=True)):
        def backward(self, grad_y, grad_state):
            if "ignored" in words:
                return super().backward(grad_y, LSTMState(grad_state.h * 0, grad_state.c * 0))
            return super().backward(grad_y * 2, LSTMState(grad_state.h * 2, grad_state.c * 2))

    assert hints_for(Wrong, "gradients-float32") == [f"matches exactly if {words}"]


def test_what_is_kept_from_the_call_before_is_named():
    class Wrong(faulty()):
        def forward(self, x, state, lengths=None, training=False):
            y, last = super().forward(x, getattr(self, "last", state), lengths, training)
            self.last = LSTMState(last.h.copy(), last.c.copy())
            return y, last

    said = hints_for(Wrong, "calls-independent")
    assert len(said) == 1
    assert "starts from the final h and c of call 1" in said[0]


def test_a_fault_of_the_tail_is_placed():
    said = hints_for(with_forward(tail_kept), "forward-float32")
    assert any("units 4 and above" in one or "unit 4 of 0..4" in one for one in said), said
    assert not any("matches exactly" in one for one in said), said


def test_a_fault_of_one_size_is_placed():
    class Wrong(faulty()):
        def forward(self, x, state, lengths=None, training=False):
            y, last = super().forward(x, state, lengths, training)
            if x.shape[1] > 4 and x.shape[1] != 5:
                y = y * np.float32(1.01)
            return y, last

    said = hints_for(Wrong, "forward-float32")
    assert any("B=6 on, and right at 5" in one for one in said), said


def test_what_no_suspect_explains_is_blamed_on_a_gate():
    problem = draw_problem(LSTMSpec(4, 5), 3, 2, 9)
    case = run_case(LocalExecutor(faulty()), problem, 4)
    got = np.array(case.results.y)
    got[1, 1, 2] *= np.float32(0.9)
    case = replace(case, results=replace(case.results, y=got))
    spot = case.judgement.first_wrong
    assert spot.index == (1, 1, 2)
    w, h, c = problem.weights.layers[0][0].astype(np.float64), case.got["y"][0, 1], problem.inputs.state.c[0, 1]
    first = problem.first_rows_and_steps(2, 1)
    c = run_once(first.spec, first.weights, first.inputs)["c_n"][0, 1]
    i, f, g, o = np.split(w.w_ih @ problem.inputs.x[1, 1] + w.w_hh @ h + w.b_ih + w.b_hh, 4)
    i, f, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
    gates = {"i": i[2], "f": f[2], "g": g[2], "o": o[2]}
    said = re.findall(r"gate (.) would have to be ([-.e0-9]+) instead of ([-.e0-9]+)", gate_blame(case, spot))
    assert len(said) == 2
    for gate, needed, now in said:
        assert float(now) == pytest.approx(gates[gate], rel=1e-4)
        v = gates | {gate: float(needed)}
        assert v["o"] * np.tanh(v["f"] * c[2] + v["i"] * v["g"]) == pytest.approx(got[1, 1, 2], rel=1e-4)


def test_a_right_backend_gets_no_suspect():
    executor, problem = LocalExecutor(faulty()), draw_problem(LSTMSpec(4, 5), 3, 2, 9)
    program = Program(((problem.spec, problem.weights),), ((0, problem.inputs),))
    failure = DisagreementError("made up", [ProgramRun((problem,), program, executor.run(program))])
    case = run_case(executor, problem, 4)
    spot = Spot("h_n", (0, 0, 0), "row 0, unit 0", 0.0, 0.0, 0.0)
    assert case.judgement.agrees
    assert find_hints(failure, failure, FailureLocation(0, 0, spot), executor, 4) == []


def test_hints_never_raise():
    class Hostile:
        def run(self, program):
            raise BackendFaultError("raised", "no")

    problem = draw_problem(LSTMSpec(4, 5), 3, 2, 9)
    program = Program(((problem.spec, problem.weights),), ((0, problem.inputs),))
    ran = LocalExecutor(with_weights(packed((1, 0, 2, 3)))).run(program)
    failure = DisagreementError("wrong", [ProgramRun((problem,), program, ran)])
    finding = locate(failure, 4)
    assert isinstance(hints(failure, failure, finding, Hostile(), 4), list)
    assert hints(failure, failure, None, Hostile(), 4) == []
    nothing = DisagreementError("raised", [ProgramRun((problem,), program, None)], kind="raised")
    assert hints(nothing, nothing, finding, Hostile(), 4) == []
    ran.results[0].y[...] = np.nan
    assert isinstance(hints(failure, failure, locate(failure, 4), Hostile(), 4), list)


@pytest.mark.parametrize("spec", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_the_right_variation_is_the_reference(spec):
    problem = draw_problem(spec, 5, 4, 3, lengths=np.array([3, 0, 5, 2]), training=True)
    expected = run_once(spec, problem.weights, problem.inputs)
    found = vary(problem, RIGHT) | vary_backward(problem, RIGHT_BACKWARD)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-14, err_msg=name)
    own = vary(problem, RIGHT, own=expected["y"])
    np.testing.assert_allclose(own["y"], expected["y"], rtol=1e-12, atol=1e-14)


def test_no_two_suspects_have_the_same_words_and_all_run():
    everything = draw_problem(EVERYTHING, 5, 4, 3, lengths=np.array([3, 0, 5, 2]), training=True)
    everything = everything.with_inputs(grad_y=20 * everything.inputs.grad_y)
    plain = draw_problem(PLAIN, 5, 4, 3, training=True)
    forward, back = list(forward_suspects()), list(gradient_suspects())
    words = [s.words for s in forward + back]
    assert len(words) == len(set(words)) > 150
    for suspects, run in ((forward, vary), (back, vary_backward)):
        for suspect in suspects:
            outcomes = [run(p, suspect) for p in (everything, plain)]
            assert any(o is not None for o in outcomes), suspect.words
            changed = [
                any(not np.array_equal(o[n], right[n]) for n in o)
                for p, o in zip((everything, plain), outcomes, strict=True)
                if o is not None
                for right in [run_once(p.spec, p.weights, p.inputs)]
                if all(o[n].shape == right[n].shape for n in o)
            ]
            assert not changed or any(changed), f"{suspect.words} changes nothing"
