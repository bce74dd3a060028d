"""Hints for a call that is right alone: what it has to do with the other calls of its program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...faults.lstm import CorrectLSTM
from ...problems.problem import Problem
from ..program import DisagreementError, FailureLocation
from .call import Call
from .with_fault import results_of


def other_calls(failure: DisagreementError, location: FailureLocation, call: Call) -> list[tuple[int, Call]]:
    """The other calls of the program, with their numbers from 1."""
    run = failure.runs[location.program]
    assert run.result is not None
    pairs = enumerate(zip(run.problems, run.result.results, strict=False))
    return [(n + 1, Call(problem, results, call.ulps)) for n, (problem, results) in pairs if n != location.call]


def hints_of_other_calls(
    failure: DisagreementError, location: FailureLocation, call: Call, others: list[tuple[int, Call]]
) -> list[str]:
    """The first other problem, or result, that explains the results; else that another call or the layout matters."""
    program = failure.runs[location.program].program
    if not others:
        return [f"the same problem is right if its arrays are contiguous and writable, not {program.layout}"]
    number, instances = location.call + 1, len(program.instances)
    alone = f"call {number} is right if it is the only call of its own instance: something is shared or kept"
    for other_number, other in others:
        for sentence, problem in _mixed(call.problem, other, other_number):
            if problem is not None and _solves(call, problem):
                return [f"matches exactly if {sentence}; {alone}"]
        theirs = {n: a for n, a in other.got.items() if n in call.got}
        if all(np.array_equal(call.got[n], a) for n, a in theirs.items() if n in ("y", "h_n", "c_n")):
            return [f"the results are those of call {other_number}; {alone}"]
        off = [n for n, t in call.tolerances.items() if n in call.got and not call.matches({n: t.reference})]
        summed = other_number < number and bool(off) and all(n.startswith("gradient of layers") and n in theirs for n in off)
        if summed and call.matches({n: call.tolerances[n].reference + theirs[n] for n in off}):
            return [f"matches exactly if the {' and the '.join(off)} of call {other_number} is added; {alone}"]
    return [alone if instances == 1 else f"{alone} by {instances} live instances"]


def _mixed(here: Problem, other: Call, number: int) -> Iterator[tuple[str, Problem | None]]:
    """The problem with a part of another call in place of its own, in a sentence."""
    there, given, last = other.problem, other.problem.inputs.state, other.results
    h, c = here.inputs.state.h, here.inputs.state.c
    yield f"it starts from the final h and c of call {number}", _with_state(here, last.h_n, last.c_n)
    yield f"it starts from the final h of call {number}", _with_state(here, last.h_n, c)
    yield f"it starts from the final c of call {number}", _with_state(here, h, last.c_n)
    yield f"it starts from the state of call {number}", _with_state(here, given.h, given.c)
    yield f"it starts from h0 of call {number}", _with_state(here, given.h, c)
    yield f"it starts from c0 of call {number}", _with_state(here, h, given.c)
    if there.inputs.x.shape == here.inputs.x.shape:
        yield f"it reads x of call {number}", here.with_inputs(x=there.inputs.x)
    if there.batch == here.batch:
        yield f"it has the lengths of call {number}", here.with_inputs(lengths=there.inputs.lengths)
    if there.spec == here.spec:
        yield f"it has the weights of call {number}", replace(here, weights=there.weights)


def _with_state(problem: Problem, h: Any, c: Any) -> Problem | None:
    state = problem.inputs.state
    if h.shape != state.h.shape or c.shape != state.c.shape:
        return None
    return problem.with_inputs(state=replace(state, h=h, c=c))


def _solves(call: Call, problem: Problem) -> bool:
    """Whether the results are the right ones of another problem, and not of their own."""
    return not call.matches(results_of(CorrectLSTM, call.problem)) and call.matches(results_of(CorrectLSTM, problem))
