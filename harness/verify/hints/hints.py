"""What would explain a failure, in sentences for the backend's author.

A fault is named only if the backend's results are those of the LSTM with that fault on the shrunk problem, on the first failing
one, and on a fresh one whose odd, unequal sizes and spread values tell faults apart, and which the backend does not solve.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...faults.fault import Fault
from ...faults.lstm import CorrectLSTM
from ...faults.table import FAULTS
from ...problems.problem import Problem
from ...problems.regimes import draw_problem
from ..program import DisagreementError, Executor, FailureLocation, locate
from .call import Call, solved
from .other_calls import hints_of_other_calls, other_calls
from .places import gate_hint, places
from .rounding import hint_of_rounding
from .sizes import hints_of_sizes
from .with_fault import Tensors, results_of, results_with

FRESH = (7, 5, 9, 13, 4)
"""T, B, I, H and P of the problem on which faults are told apart."""

LARGE = 1 << 16
"""T * B * H * L beyond which the first failing problem is not looked at: its reference costs too much."""


def hints(
    failure: DisagreementError,
    first: DisagreementError,
    location: FailureLocation | None,
    executor: Executor,
    activation_ulps: float,
) -> list[str]:
    """Sentences about what would explain the failure, or where it is; [] where nothing is known.

    failure: the shrunk one; first: the one before shrinking. location: of `failure`. Never raises.
    """
    if location is None or failure.kind != "wrong":
        return []
    if not np.isfinite(location.spot.got) and np.isfinite(location.spot.expected):
        return []  # later steps start from the backend's own NaN and look right: there is nothing more to say
    try:
        with np.errstate(all="ignore"):
            return find_hints(failure, first, location, executor, activation_ulps)
    except Exception:  # a backend can return anything; a report without a hint is better than none
        return []


def find_hints(
    failure: DisagreementError, first: DisagreementError, location: FailureLocation, executor: Executor, ulps: float
) -> list[str]:
    """As `hints`, but raises."""
    call = _failing_call(failure, location, ulps)
    if call is None:
        return []
    others = other_calls(failure, location, call)
    if others or failure.runs[location.program].program.layout != "plain":
        alone = solved(executor, call.problem, ulps)
        if alone is not None and alone.judgement.agrees:
            return hints_of_other_calls(failure, location, call, others)

    large = _before_shrinking(failure, first, call, ulps)
    backward = location.spot.tensor.startswith(("gradient", "projected"))
    faults = [f for f in FAULTS if f.hint and f.backward == backward and f.family != "precision"]
    fresh = _fresh(executor, large.problem, ulps, square=False)
    if fresh is None or fresh.judgement.agrees:  # it needs certain sizes or values
        if large.matches(results_of(CorrectLSTM, large.problem, backward=backward)):
            return _where(large, call, location, backward, fresh)
        found = [f.sentence for f in faults if all(c.matches(results_with(f, c.problem)) for c in (call, large))]
        there = f"there, matches exactly if {'; or if '.join(found[:3])}"
        needed = hints_of_sizes(executor, call.problem, ulps)
        return [*needed, *([there] if found else _where(large, call, location, backward))]
    named = _named(faults, [call, large], fresh, executor, ulps)
    if named is not None:
        return [f"matches exactly if {named.sentence}"]
    rounding = None if backward else hint_of_rounding([fresh, large])
    return [rounding] if rounding else _where(large, call, location, backward, fresh)


def _failing_call(failure: DisagreementError, location: FailureLocation, ulps: float) -> Call | None:
    run = failure.runs[location.program]
    if run.result is None or location.call >= len(run.result.results):
        return None
    return Call(run.problems[location.call], run.result.results[location.call], ulps)


def _before_shrinking(failure: DisagreementError, first: DisagreementError, call: Call, ulps: float) -> Call:
    """The first call that failed; the shrunk one where that costs too much."""
    location = None if first is failure else locate(first, ulps)
    found = None if location is None else _failing_call(first, location, ulps)
    if found is None:
        return call
    p = found.problem
    return call if p.steps * p.batch * p.spec.hidden_size * p.spec.num_layers > LARGE else found


def _named(faults: list[Fault], calls: list[Call], fresh: Call, executor: Executor, ulps: float) -> Fault | None:
    """The first fault that explains all calls, a fresh one on which it makes a difference, and one with one step more."""
    square: list[Call | None] = []
    longer: list[Call | None] = []
    for fault in faults:
        if not all(call.matches(results_with(fault, call.problem)) for call in calls):
            continue
        deciding: Call | None = fresh
        if not _differs(results_with(fault, fresh.problem), results_of(CorrectLSTM, fresh.problem, backward=fault.backward)):
            square = square or [_fresh(executor, fresh.problem, ulps, square=True)]
            deciding = square[0]
        if (
            deciding is not None
            and deciding.matches(results_with(fault, deciding.problem))
            and not deciding.matches(results_of(CorrectLSTM, deciding.problem, backward=fault.backward))
        ):
            # steps taken in pairs and a last step left out are the same for an odd number of steps
            longer = longer or [_fresh(executor, fresh.problem, ulps, square=False, more_steps=1)]
            if longer[0] is None or longer[0].matches(results_with(fault, longer[0].problem) or longer[0].got):
                return fault
    return None


def _differs(found: Tensors | None, right: Tensors | None) -> bool:
    return found is not None and right is not None and any(not np.array_equal(a, right[n]) for n, a in found.items())


def _fresh(executor: Executor, like: Problem, ulps: float, square: bool, more_steps: int = 0) -> Call | None:
    """A problem with the features of another, spread values, and sizes that tell faults apart; square: I = D * R."""
    steps, batch, inputs, hidden, projection = FRESH
    steps += more_steps
    old = like.spec
    for size in (hidden, old.hidden_size):  # the backend may not promise the larger
        proj = min(projection, size - 1) if old.proj_size else 0
        spec = replace(old, input_size=inputs, hidden_size=size, proj_size=proj)
        spec = replace(spec, input_size=spec.output_size) if square else spec
        lengths = None
        if like.inputs.lengths is not None:
            zero = bool((like.inputs.lengths == 0).any())
            lengths = np.array([4, 0 if zero else 2, 6, 3, 5])
        call = solved(executor, draw_problem(spec, steps, batch, 20, lengths=lengths, training=like.training), ulps)
        if call is not None:
            return call
    return None


def _where(large: Call, call: Call, location: FailureLocation, backward: bool, fresh: Call | None = None) -> list[str]:
    """Where it is wrong; and, of a forward, which gate would explain it."""
    if backward:
        wrong = [n for n, t in large.tolerances.items() if n in large.got and (t.ratios(large.got[n])[0] > 1).any()]
        names = [n for n in large.got if n.startswith("gradient")]
        few = 0 < len(wrong) <= len(names) // 2
        return [f"only the {' and the '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong"] if few else []
    where = places(large) or (places(fresh) if fresh is not None else None)
    return [s for s in (where, gate_hint(call, location.spot)) if s]
