"""Weights for which the result is known without running the equations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.problem import Array

from ...oracle.roundoff import ROUNDOFF
from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ..check import CheckList, CheckRun

SATURATED = 1000.0
"""A bias for which sigmoid is exactly 1, and exactly 0 for its negative, in every precision."""

PLAIN = ProblemRequirements(training=False, lengths=False)

checks = CheckList()


def _coarse_biases(problem: Problem, *_: object) -> Problem:
    """Biases with so few digits that their sum is exact in every precision."""
    return problem.map_weights(lambda name, a: np.clip(np.round(a * 16), -32, 32) / 16 if name.startswith("b_") else a)


@checks.add(
    "bias-moved",
    "b_hh added to b_ih changes nothing",
    ProblemRequirements(bias=True, regimes=("spread", "default", "sparse")),
    prepare=_coarse_biases,
)
def _bias(run: CheckRun, problem: Problem) -> None:
    def moved(w: DirectionWeights, *_: int) -> DirectionWeights:
        assert w.b_ih is not None
        assert w.b_hh is not None
        return replace(w, b_ih=w.b_ih + w.b_hh, b_hh=np.zeros_like(w.b_hh))

    two, one = run.call(problem).tensors(), run.call(problem.with_weights(moved)).tensors()
    run.require_same(problem, two, one, "the run with b_hh added to b_ih")


def preserving(problem: Problem, *_: object) -> Problem:
    """The problem with forget gates at 1 and input gates at 0, and every |c0| at least 1."""

    def changed(name: str, a: Array) -> Array:
        if name == "w_hr":
            return a
        _, _, g, o = np.split(a, 4)
        biases = (-SATURATED, SATURATED) if name == "b_ih" else (0.0, 0.0)
        return np.concatenate([*(np.full_like(g, bias) for bias in biases), g, o])

    state = problem.inputs.state
    c = np.asarray(state.c, np.float64)
    away = np.where(c < 0, c - 1, c + 1).astype(problem.spec.dtype)
    return problem.map_weights(changed).with_inputs(state=LSTMState(state.h, away))


def drift_allowed(problem: Problem, ulps: float) -> Array:
    """Allowed difference of c [L*D, B, H] from c0 after T steps of a `preserving` problem, with the rounding of c_n.

    With d = a u a step multiplies c by at most 1 + d and adds at most d (1 + d), so |c| + 1 + d grows by 1 + d. The drift is
    within ((1 + d)^T - 1) (|c0| + 1 + d), and |c0| >= 1: 2 a u T |c0| where a u T is small.
    """
    kind = ROUNDOFF[problem.spec.precision]
    c0 = np.abs(np.asarray(problem.inputs.state.c, np.float64))
    d = ulps * kind.arithmetic
    return np.asarray(((2 + d) * np.expm1(problem.steps * np.log1p(d)) + kind.inside) * c0)


@checks.add(
    "memory-holds",
    "with f = 1 and i = 0, c stays within 2 a u T |c0|",
    replace(PLAIN, bias=True, peephole=False, regimes=("spread",)),
    prepare=preserving,
    sensitive_to=("c0",),
)
def _preserved(run: CheckRun, problem: Problem) -> None:
    c_n = run.call(problem).c_n
    run.require_close("c_n", c_n, problem.inputs.state.c, drift_allowed(problem, run.ulps), "c0")


def _zero_weights(problem: Problem, *_: object) -> Problem:
    return problem.map_weights(lambda _, a: np.zeros_like(a))


@checks.add(
    "zero-weights",
    "weights of 0 halve c at each step, and h is tanh(c) / 2",
    replace(PLAIN, projection=False, regimes=("spread",), max_steps=9),
    prepare=_zero_weights,
    sensitive_to=("c0",),
)
def _zero(run: CheckRun, problem: Problem) -> None:
    found = run.call(problem)
    kind, t, c0 = ROUNDOFF[problem.spec.precision], problem.steps, np.asarray(problem.inputs.state.c, np.float64)
    gate = run.ulps * kind.arithmetic + 3 * kind.storage  # of f c' + i g: errors of f, the product and the sum
    c = c0 * 0.5**t
    of_c = np.abs(c) * (np.expm1(t * np.log1p(2 * gate))) + 2 * run.ulps * kind.arithmetic + 8 * kind.tiny
    run.require_close("c_n", found.c_n, c, of_c, "c0 / 2^T, the exact value for weights of 0")
    h = 0.5 * np.tanh(c)
    of_h = 0.5 * of_c + 2 * run.ulps * kind.arithmetic + 4 * kind.storage * np.abs(h) + 8 * kind.tiny
    run.require_close("h_n", found.h_n, h, of_h, "tanh(c_n) / 2, the exact value for weights of 0")


@checks.add("bounded", "|h| <= 1 without projection, and |c| <= |c0| + T", replace(PLAIN, projection=False))
def _bounded(run: CheckRun, problem: Problem) -> None:
    found = run.call(problem)
    kind = ROUNDOFF[problem.spec.precision]
    a = run.ulps * kind.arithmetic
    inside = np.abs(np.asarray(found.y, np.float64)) <= 1 + 2 * a + kind.storage
    run.require(bool(inside.all()), "an element of y is larger than 1, or NaN")
    limit = np.abs(np.asarray(problem.inputs.state.c, np.float64))
    for _ in range(problem.steps):
        limit = (limit * (1 + a) + 1 + 2 * a) * (1 + 3 * kind.storage)
    below = np.abs(np.asarray(found.c_n, np.float64)) <= limit
    run.require(bool(below.all()), "an element of c_n is larger than |c0| + T, or NaN")


def _large_x(problem: Problem, *_: object) -> Problem:
    return problem.with_inputs(x=(np.asarray(problem.inputs.x, np.float64) * 100).astype(problem.spec.dtype))


@checks.add(
    "large-inputs",
    "large inputs saturate the gates, and no result is NaN or infinite",
    ProblemRequirements(training=False, regimes=("spread", "large", "saturated")),
    prepare=_large_x,
    sensitive_to=("x",),
)
def _finite(run: CheckRun, problem: Problem) -> None:
    found = run.call(problem).tensors()
    wrong = [name for name, array in found.items() if not np.isfinite(np.asarray(array, np.float64)).all()]
    run.require(not wrong, f"{' and '.join(wrong)} not finite, although the gates only saturate")
