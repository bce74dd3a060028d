"""Whose arrays are they? Inputs are only read, results belong to the caller, and calls and instances leave each other alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ...problems.problem import Problem
from ...problems.regimes import draw_problem
from ...problems.requirements import ProblemRequirements
from ..check import Check
from ..isolation import steady
from ..isolation.execute import Layout, tensors_of
from ..trial import DisagreementError, TooSlowError, Trial

MANY = 16
"""Rounds of four calls, for what goes wrong only after a while: a ring of buffers that comes round, a count that overflows."""

MANY_ROWS = ProblemRequirements(training=False, min_batch=32, max_steps=2, small=True, regimes=("default",))
"""Quick calls, whose arrays are no smaller than what is around them; a model file's sizes would be neither."""


def _another(problem: Problem) -> Problem:
    """Other values, and other lengths, for the same spec, weights and sizes."""
    lengths = None if problem.inputs.lengths is None else np.maximum(problem.lengths - 1, problem.lengths.min())[::-1].copy()
    other = draw_problem(problem.spec, problem.steps, problem.batch, 1, lengths=lengths, training=problem.training)
    return replace(other, weights=problem.weights)


def _deterministic(trial: Trial) -> None:
    problem = trial.problem()
    first, second = trial.run_all([problem, problem]).results
    trial.same_bits(tensors_of(second), tensors_of(first), "the same call before it")
    trial.same_bits(tensors_of(trial.run(problem)), tensors_of(first), "the same call of another instance")


def _untouched(trial: Trial) -> None:
    ran = trial.run_all([trial.problem()])
    trial.require(not ran.remarks, "; ".join(ran.remarks))


def _in_layout(layout: Layout) -> Callable[[Trial], None]:
    def body(trial: Trial) -> None:
        problem = trial.problem()
        found, plain = trial.run(problem, layout), trial.run(problem)
        trial.same(problem, tensors_of(found), tensors_of(plain), "the run with plain arrays")

    return body


def _kept(trial: Trial) -> None:
    problem = trial.problem()
    ran = trial.run_all([problem, _another(problem), problem], keep=True)
    trial.require(not ran.remarks, "; ".join(ran.remarks))


def _fresh(trial: Trial) -> None:
    problem = trial.problem()
    rounds = trial.draw(st.sampled_from([1] * 5 + [MANY]))
    if rounds > 1:
        problem = trial.use(problem.first_rows_and_steps(min(problem.batch, 2), min(problem.steps, 3)))
    another = _another(problem)
    same_x = another.with_inputs(x=problem.inputs.x)
    problems = [problem, same_x, another, problem]
    ran = trial.run_all(problems * rounds, reuse=True)
    alone = [tensors_of(trial.run(one)) for one in problems[:3]]
    for k, results in enumerate(ran.results):
        trial.same(problems[k % 4], tensors_of(results), alone[k % 4 % 3], "the first call of an instance")


def _instances(trial: Trial) -> None:
    problem = trial.problem()
    other = draw_problem(
        problem.spec, problem.steps, problem.batch, 1, lengths=problem.inputs.lengths, training=problem.training
    )
    together = trial.run_all([problem, other], shared=False).results
    for one, results in zip([problem, other], together, strict=True):
        trial.same(one, tensors_of(results), tensors_of(trial.run(one)), "the run with no other instance")


def _steady(trial: Trial) -> None:
    problem = trial.problem()
    _holds_no_more(trial, problem)
    if trial.capabilities.gradients:
        lengths = problem.inputs.lengths
        training = draw_problem(problem.spec, problem.steps, problem.batch, 1, lengths=lengths, training=True)
        _holds_no_more(trial, training)


def _holds_no_more(trial: Trial, problem: Problem) -> None:
    every, spec, inputs = steady.between(steady.CALLS), problem.spec, problem.inputs
    readings = trial.memory(problem, steady.CALLS)
    returned = problem.steps * problem.batch * spec.output_size * spec.dtype.itemsize + inputs.state.h.nbytes
    returned += inputs.state.c.nbytes
    what = "a training step" if problem.training else "a call"
    leaks, made = [growth for growth in steady.growths(readings, every, returned) if growth.leaks], len(readings) * every
    if leaks:
        seen = "; ".join(f"{g.bytes_a_call:,.0f} bytes of {g.meter}, where {g.allowed:,.0f} are allowed" for g in leaks)
        reason = f"{problem.describe()}: {what} leaves memory behind, each time of {made:,}: {seen}"
        raise DisagreementError(f"{reason}; what it returns are {returned:,} bytes", [], kind="leak")
    if made < steady.CALLS:
        raise TooSlowError(f"{what} was made {made} times in {steady.LIMIT_S:.0f} s, too few to tell a leak")


CHECKS = (
    Check("deterministic", "the same call gives the same bits", _deterministic, needs=("deterministic",)),
    Check("inputs-untouched", "a call writes to nothing that it is given", _untouched),
    Check("read-only-inputs", "inputs may be read-only", _in_layout("read-only")),
    Check("strided-inputs", "inputs may be strided", _in_layout("strided")),
    Check("outputs-kept", "what was returned is never changed by a later call", _kept),
    Check("calls-independent", "a call's result does not depend on the calls before it, nor on what became of theirs", _fresh),
    Check("two-instances", "two live instances do not disturb each other", _instances),
    Check("memory-steady", "a thousand calls leave no memory behind", _steady, MANY_ROWS, sensitive_to=(), cost=20),
)
