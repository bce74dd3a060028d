"""Hints: the fault of a program is named, none where no fault explains the result, and the wrong part is named."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lstm_parity.backends import Capabilities, LSTMSpec, LSTMState
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.faults.fault import mutants_of
from lstm_parity.harness.faults.independent import INDEPENDENT, SAME_AS
from lstm_parity.harness.faults.lstm import CorrectLSTM
from lstm_parity.harness.faults.table import FAULTS
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.location import Spot
from lstm_parity.harness.oracle.noise import run_once
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.hints.call import solved
from lstm_parity.harness.verify.hints.hints import find_hints, hints
from lstm_parity.harness.verify.hints.places import gate_hint
from lstm_parity.harness.verify.hints.with_fault import results_of, results_with
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
    """NumpyLSTM with these promises."""
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
    where = locate(found.failure, ulps)
    return find_hints(found.failure, found.first_failure, where, executor, ulps)


KEEP_TAIL = {"keep": 4}


def tail_kept(forward, x, state, lengths):
    y, last = forward(x, state, lengths)
    y, h = y.copy(), last.h.copy()
    y[-1, :, KEEP_TAIL["keep"] :] = 0
    h[..., KEEP_TAIL["keep"] :] = 0
    return y, LSTMState(h, last.c)


CHECKS_OF_INDEPENDENT = {
    "plain-output-for-candidate": "forward-bfloat16",
    "plain-full-rows": "lengths-row-alone",
    "plain-forward-twice": "bidirectional",
    "plain-shared-start": "stack",
    "plain-late-tanh": "projection",
    "plain-early-peephole": "peepholes",
    "plain-peepholes-swapped": "peepholes",
}
"""The check that fails, where it is not forward-float32."""


@pytest.mark.parametrize("mutant", INDEPENDENT, ids=lambda m: m.name)
def test_the_fault_of_an_independent_program_is_named(mutant):
    named = SAME_AS[mutant.name]
    fault = next(f for f in FAULTS for m in mutants_of(f) if m.name == named)
    check = CHECKS_OF_INDEPENDENT.get(mutant.name, "forward-float32")
    assert hints_for(mutant.backend, check) == [f"matches exactly if {fault.sentence}"]


@pytest.mark.parametrize("name", ["last-step-missing", "odd-step-missing"])
def test_faults_that_are_the_same_for_an_odd_number_of_steps_are_told_apart(name):
    fault, mutant = next((f, m) for f in FAULTS for m in mutants_of(f) if m.name == name)
    assert hints_for(mutant.backend, "forward-float32") == [f"matches exactly if {fault.sentence}"]


def test_the_faults_of_the_independent_programs_are_of_many_families():
    assert len(INDEPENDENT) >= 20
    families = {f.family for f in FAULTS for m in mutants_of(f) if m.name in SAME_AS.values()}
    assert families >= {
        "gates",
        "layout",
        "state",
        "time",
        "lengths",
        "direction",
        "layers",
        "peephole",
        "projection",
        "activation",
    }


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
        "the error of y is explained if operands of products are rounded to TF32 or float16 (10 bits)"
    ]


@pytest.mark.parametrize("sentence", ["the gradients of h_n and c_n are ignored", "all gradients are doubled"])
def test_a_wrong_backward_is_named(sentence):
    class Wrong(faulty(gradients=True)):
        def backward(self, grad_y, grad_state):
            if "ignored" in sentence:
                return super().backward(grad_y, LSTMState(grad_state.h * 0, grad_state.c * 0))
            return super().backward(grad_y * 2, LSTMState(grad_state.h * 2, grad_state.c * 2))

    assert hints_for(Wrong, "gradients-float32") == [f"matches exactly if {sentence}"]


def test_state_of_the_call_before_is_named():
    class Wrong(faulty()):
        def forward(self, x, state, lengths=None, training=False):
            y, last = super().forward(x, getattr(self, "last", state), lengths, training)
            self.last = LSTMState(last.h.copy(), last.c.copy())
            return y, last

    texts = hints_for(Wrong, "calls-independent")
    assert len(texts) == 1
    assert "starts from the final h and c of call 1" in texts[0]


def test_a_fault_of_the_tail_is_placed():
    texts = hints_for(with_forward(tail_kept), "forward-float32")
    assert any("units 4 and above" in text or "unit 4 of 0..4" in text for text in texts), texts
    assert not any("matches exactly" in text for text in texts), texts


def test_a_fault_of_one_size_is_placed():
    class Wrong(faulty()):
        def forward(self, x, state, lengths=None, training=False):
            y, last = super().forward(x, state, lengths, training)
            if x.shape[1] > 4 and x.shape[1] != 5:
                y = y * np.float32(1.01)
            return y, last

    texts = hints_for(Wrong, "forward-float32")
    assert any("B=6 on, and right at 5" in text for text in texts), texts


def test_an_error_that_no_fault_explains_is_explained_by_one_gate():
    problem = draw_problem(LSTMSpec(4, 5), 3, 2, 9)
    case = solved(LocalExecutor(faulty()), problem, 4)
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
    texts = re.findall(r"gate (.) alone: got ([-.e0-9]+), expected ([-.e0-9]+)", gate_hint(case, spot))
    assert len(texts) == 2
    for gate, needed, now in texts:
        assert float(now) == pytest.approx(gates[gate], rel=1e-4)
        v = gates | {gate: float(needed)}
        assert v["o"] * np.tanh(v["f"] * c[2] + v["i"] * v["g"]) == pytest.approx(got[1, 1, 2], rel=1e-4)


def test_a_right_backend_gets_no_hint():
    executor, problem = LocalExecutor(faulty()), draw_problem(LSTMSpec(4, 5), 3, 2, 9)
    program = Program(((problem.spec, problem.weights),), ((0, problem.inputs),))
    failure = DisagreementError("made up", [ProgramRun((problem,), program, executor.run(program))])
    case = solved(executor, problem, 4)
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
    where = locate(failure, 4)
    assert isinstance(hints(failure, failure, where, Hostile(), 4), list)
    assert hints(failure, failure, None, Hostile(), 4) == []
    nothing = DisagreementError("raised", [ProgramRun((problem,), program, None)], kind="raised")
    assert hints(nothing, nothing, where, Hostile(), 4) == []
    ran.results[0].y[...] = np.nan
    assert isinstance(hints(failure, failure, locate(failure, 4), Hostile(), 4), list)


@pytest.mark.parametrize("spec", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_the_lstm_without_a_fault_is_the_reference(spec):
    problem = draw_problem(spec, 5, 4, 3, lengths=np.array([3, 0, 5, 2]), training=True)
    expected = run_once(spec, problem.weights, problem.inputs)
    found = results_of(CorrectLSTM, problem) | results_of(CorrectLSTM, problem, backward=True)
    tolerances = Expected(spec, problem.weights, problem.inputs).tolerances(4)
    for name in expected:
        assert tolerances[name].ratios(found[name])[0].max() <= 1, name
    following = results_of(CorrectLSTM, problem, y=expected["y"])
    assert tolerances["y"].ratios(following["y"])[0].max() <= 1


def test_each_step_starts_from_the_backends_own_h():
    spec = replace(PLAIN, bidirectional=True)
    problem = draw_problem(spec, 5, 4, 3, lengths=np.array([3, 0, 5, 2]))
    y = run_once(spec, problem.weights, problem.inputs)["y"]
    other = y.copy()
    other[1] += 0.5
    found = results_of(CorrectLSTM, problem, y=other)["y"]
    differ = (np.abs(found - y) > 1e-12).any(axis=1)
    steps = np.stack([half.any(axis=1) for half in np.split(differ, 2, axis=1)])
    assert steps.tolist() == [[False, False, True, True, True], [True, False, False, False, False]]


def test_no_two_faults_have_the_same_sentence_and_every_hint_makes_a_difference():
    everything = draw_problem(EVERYTHING, 5, 4, 3, lengths=np.array([3, 0, 5, 2]), training=True)
    everything = everything.with_inputs(grad_y=20 * everything.inputs.grad_y)
    plain = draw_problem(PLAIN, 7, 4, 3, training=True)
    spec = replace(EVERYTHING, num_layers=3, proj_size=0, input_size=6)
    three_layers = draw_problem(spec, 5, 4, 3, lengths=np.array([2, 2, 2, 2]), training=True)
    long = draw_problem(LSTMSpec(3, 9, bias=False, precision="float64"), 17, 3, 3, lengths=np.array([17, 3, 9]))
    x = 30 * long.inputs.x
    x[0] = 0
    long = long.with_inputs(x=x)
    assert len({fault.sentence for fault in FAULTS}) == len(FAULTS)
    silent = set()
    for fault in (f for f in FAULTS if f.hint and f.family != "rare"):
        found = [(p, results_with(fault, p)) for p in (everything, plain, three_layers, long)]
        if not any(
            np.shape(array) != np.shape(right[name]) or not np.array_equal(array, right[name])
            for problem, tensors in found
            if tensors is not None
            for right in [results_of(CorrectLSTM, problem, backward=fault.backward)]
            for name, array in tensors.items()
        ):
            silent.add(fault.name)
    assert not silent
