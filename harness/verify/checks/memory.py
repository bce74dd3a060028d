"""Ownership of memory: inputs are only read, results belong to the caller, calls and instances do not affect each other."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from ...problems.problem import Problem
from ...problems.related import other_inputs, other_values
from ...problems.requirements import ProblemRequirements
from ..check import CheckList, CheckRun
from ..isolation import steady
from ..program import DisagreementError, Layout, TooSlowError

MANY = 16
"""Rounds of four calls, for faults that show only after many calls: a ring of buffers that wraps, a counter that overflows."""

MANY_ROWS = ProblemRequirements(training=False, min_batch=32, max_steps=2, small=True, regimes=("default",))
"""Fast calls whose arrays are at least as large as the overhead of a call."""

checks = CheckList()


@checks.add("deterministic", "the same call gives the same bits", needs=("deterministic",))
def _deterministic(run: CheckRun, problem: Problem) -> None:
    first, second = (results.tensors() for results in run.calls([problem, problem]).results)
    run.require_same_bits(second, first, "the same call before it")
    run.require_same_bits(run.call(problem).tensors(), first, "the same call of another instance")


@checks.add("inputs-untouched", "a call does not write to its arguments")
def _untouched(run: CheckRun, problem: Problem) -> None:
    changes = run.calls([problem]).changes
    run.require(not changes, "; ".join(changes))


def _in_layout(layout: Layout) -> Callable[[CheckRun, Problem], None]:
    def body(run: CheckRun, problem: Problem) -> None:
        found, plain = run.call(problem, layout), run.call(problem)
        run.require_same(problem, found.tensors(), plain.tensors(), "the run with plain arrays")

    return body


checks.add("read-only-inputs", "inputs may be read-only")(_in_layout("read-only"))
checks.add("strided-inputs", "inputs may be strided")(_in_layout("strided"))


@checks.add("outputs-kept", "returned arrays are never changed by a later call")
def _kept(run: CheckRun, problem: Problem) -> None:
    changes = run.calls([problem, other_inputs(problem), problem], keep=True).changes
    run.require(not changes, "; ".join(changes))


drawn_rounds = {"rounds": lambda _: st.sampled_from([1] * 5 + [MANY])}


def shortened(problem: Problem, _: object, rounds: int) -> Problem:
    """The problem, or a small part of it where it is run in many rounds."""
    return problem if rounds == 1 else problem.first_rows_and_steps(min(problem.batch, 2), min(problem.steps, 3))


@checks.add(
    "calls-independent",
    "a call's result does not depend on earlier calls, nor on their arrays",
    draws=drawn_rounds,
    prepare=shortened,
)
def calls_independent(run: CheckRun, problem: Problem, rounds: int) -> None:
    """Calls of one instance, in reused arrays, equal those of instances that make one call."""
    another = other_inputs(problem)
    same_x = another.with_inputs(x=problem.inputs.x)
    problems = [problem, same_x, another, problem]
    found = run.calls(problems * rounds, reuse=True)
    alone = [run.call(one).tensors() for one in problems[:3]]
    for k, results in enumerate(found.results):
        run.require_same(problems[k % 4], results.tensors(), alone[k % 4 % 3], "the first call of an instance")


@checks.add("two-instances", "two instances do not affect each other")
def _instances(run: CheckRun, problem: Problem) -> None:
    both = [problem, other_values(problem)]
    together = run.calls(both, shared=False).results
    for one, results in zip(both, together, strict=True):
        run.require_same(one, results.tensors(), run.call(one).tensors(), "the run with no other instance")


@checks.add("memory-steady", f"{steady.CALLS:,} calls do not leak memory", MANY_ROWS, sensitive_to=(), cost=20)
def _steady(run: CheckRun, problem: Problem) -> None:
    _require_no_leak(run, problem)
    if run.capabilities.gradients:
        _require_no_leak(run, other_values(problem, training=True))


def _require_no_leak(run: CheckRun, problem: Problem) -> None:
    between, spec, inputs = steady.between(steady.CALLS), problem.spec, problem.inputs
    readings = run.memory(problem, steady.CALLS)
    returned = problem.steps * problem.batch * spec.output_size * spec.dtype.itemsize + inputs.state.h.nbytes
    returned += inputs.state.c.nbytes
    what = "a training step" if problem.training else "a call"
    leaks = [growth for growth in steady.growths(readings, between, returned) if growth.leaks]
    made = len(readings) * between
    if leaks:
        rates = "; ".join(f"{g.bytes_a_call:,.0f} bytes of {g.meter} a call, allowed {g.allowed:,.0f}" for g in leaks)
        reason = f"{problem.describe()}: {what} leaks memory, measured over {made:,} calls: {rates}"
        raise DisagreementError(f"{reason}; it returns {returned:,} bytes", [], kind="leak")
    if made < steady.CALLS:
        raise TooSlowError(f"{what} was made {made} times in {steady.LIMIT_S:.0f} s, too few to detect a leak")
