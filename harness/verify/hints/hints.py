"""What would explain a failure, in words for the backend's author.

A suspect is named only if the backend's results are what it gives on the shrunk problem, on the first failing one, and on a
fresh one whose odd, unequal sizes and spread values tell suspects apart, where the right equations do not agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...problems.problem import Problem
from ...problems.regimes import draw_problem
from ..program import DisagreementError, Executor, FailureLocation, locate
from .blame import gate_blame, places
from .cases import Case, run_case
from .suspects import PRECISION_SUSPECTS, RIGHT_BACKWARD, forward_suspects, gradient_suspects, vary_backward
from .variation import RIGHT, Tensors, Variation, vary

FRESH = (7, 5, 9, 13, 4)
"""T, B, I, H and P of the problem on which suspects are told apart."""

LARGE = 1 << 16
"""T * B * H * L beyond which the first failing problem is not looked at: its reference costs too much."""

EXPLAINED = 0.25
"""A precision explains a residual if it leaves no more than this share of it."""

PROMISED_BITS = {"float64": 53, "float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}

EXTREME = 20.0
"""Values beyond this are none that spread problems have."""

Explanation = tuple[str, Callable[[Problem], Tensors | None]]


def hints(
    failure: DisagreementError,
    first: DisagreementError,
    finding: FailureLocation | None,
    executor: Executor,
    activation_ulps: float,
) -> list[str]:
    """Sentences about what would explain the failure, or where it is; [] where nothing is known.

    failure: the shrunk one; first: the one before shrinking. finding: of `failure`. Never raises.
    """
    if finding is None or failure.kind != "wrong":
        return []
    if not np.isfinite(finding.spot.got) and np.isfinite(finding.spot.expected):
        return []  # steps after it start from the backend's own NaN and look right: there is nothing more to say
    try:
        with np.errstate(all="ignore"):
            return find_hints(failure, first, finding, executor, activation_ulps)
    except Exception:  # a backend can return anything; a report without a hint is better than none
        return []


def find_hints(
    failure: DisagreementError, first: DisagreementError, finding: FailureLocation, executor: Executor, ulps: float
) -> list[str]:
    """As `hints`, but raises what it meets."""
    case = _case(failure, finding, ulps)
    if case is None:
        return []
    found = None if first is failure else locate(first, ulps)
    large = case if found is None else _case(first, found, ulps) or case
    p = large.problem
    if p.steps * p.batch * p.spec.hidden_size * p.spec.num_layers > LARGE:
        large = case
    others = list(_history(failure, finding, case))
    if others or failure.runs[finding.program].program.layout != "plain":
        alone = run_case(executor, case.problem, ulps)
        if alone is not None and alone.judgement.agrees:
            return _company(failure, finding, case, others)

    backward = finding.spot.tensor.startswith("gradient") or finding.spot.tensor.startswith("projected")
    if backward:
        explanations = [(s.words, _backward(s)) for s in gradient_suspects()]
        right = _backward(RIGHT_BACKWARD)
    else:
        explanations = [(s.words, _forward(s)) for s in forward_suspects()]
        right = _forward(RIGHT)
    fresh = _fresh(executor, large.problem, ulps, square=False)
    if fresh is not None and not fresh.judgement.agrees:
        named = _named(explanations, right, [case, large], executor, ulps, fresh)
        if named is not None:
            return [f"matches exactly if {named}"]
        if not backward:
            residual = _precision([fresh, large])
            if residual is not None:
                return [residual]
    elif not large.matches(right(large.problem)):
        on_both = [words for words, tensors in explanations if large.matches(tensors(large.problem))]
        agreed = dict(explanations)
        on_both = [words for words in on_both if case.matches(agreed[words](case.problem))]
        special = _sizes(executor, case.problem, ulps)
        if on_both:
            said = "; or if ".join(on_both[:3])
            return [*special, f"there, matches exactly if {said}"]
        return [*special, *_where(large, case, finding, backward)]
    return _where(large, case, finding, backward, fresh)


def _forward(suspect: Variation) -> Callable[[Problem], Tensors | None]:
    return lambda problem: vary(problem, suspect)


def _backward(suspect: Any) -> Callable[[Problem], Tensors | None]:
    return lambda problem: vary_backward(problem, suspect)


def _case(failure: DisagreementError, finding: FailureLocation, ulps: float) -> Case | None:
    asked = failure.runs[finding.program]
    if asked.result is None or finding.call >= len(asked.result.results):
        return None
    return Case(asked.problems[finding.call], asked.result.results[finding.call], ulps)


def _history(failure: DisagreementError, finding: FailureLocation, case: Case) -> Iterator[tuple[str, Case]]:
    """The other calls of the program, in words."""
    asked = failure.runs[finding.program]
    assert asked.result is not None
    for number, (problem, results) in enumerate(zip(asked.problems, asked.result.results, strict=False)):
        if number != finding.call:
            yield f"call {number + 1}", Case(problem, results, case.ulps)


def _company(failure: DisagreementError, finding: FailureLocation, case: Case, others: list[tuple[str, Case]]) -> list[str]:
    """What the failing call has to do with the other calls of its program, the problem alone being solved rightly."""
    asked = failure.runs[finding.program]
    if not others:
        return [f"the same problem is solved rightly if its arrays are contiguous and writable, not {asked.program.layout}"]
    here, instances = case.problem, len(asked.program.instances)
    alone = f"call {finding.call + 1} is right if it is the only call of its own instance: something is shared or kept"
    for number, other in others:
        there = other.problem
        same_batch, same_x = there.batch == here.batch, there.inputs.x.shape == here.inputs.x.shape
        suspects: list[tuple[str, Problem | None]] = [
            (f"it starts from the final h and c of {number}", _state(here, other.results.h_n, other.results.c_n)),
            (f"it starts from the final h of {number}", _state(here, other.results.h_n, here.inputs.state.c)),
            (f"it starts from the final c of {number}", _state(here, here.inputs.state.h, other.results.c_n)),
            (f"it starts from the state of {number}", _state(here, there.inputs.state.h, there.inputs.state.c)),
            (f"it starts from h0 of {number}", _state(here, there.inputs.state.h, here.inputs.state.c)),
            (f"it starts from c0 of {number}", _state(here, here.inputs.state.h, there.inputs.state.c)),
            (
                f"it reads x of {number}",
                here.with_inputs(x=there.inputs.x) if same_x else None,
            ),
            (f"it has the lengths of {number}", here.with_inputs(lengths=there.inputs.lengths) if same_batch else None),
            (f"it has the weights of {number}", replace(here, weights=there.weights) if there.spec == here.spec else None),
        ]
        for words, problem in suspects:
            if problem is not None and _solves(case, problem):
                return [f"matches exactly if {words}; {alone}"]
        theirs = {n: a for n, a in other.got.items() if n in case.got}
        if all(np.array_equal(case.got[n], a) for n, a in theirs.items() if n in ("y", "h_n", "c_n")):
            return [f"the results are those of {number}; {alone}"]
        off = [n for n, t in case.tolerances.items() if n in case.got and not case.matches({n: t.reference})]
        earlier = int(number.split()[1]) <= finding.call
        summed = earlier and bool(off) and all(n.startswith("gradient of layers") and n in theirs for n in off)
        if summed and case.matches({n: case.tolerances[n].reference + theirs[n] for n in off}):
            return [f"matches exactly if the {' and the '.join(off)} of {number} is added; {alone}"]
    return [alone if instances == 1 else f"{alone} by {instances} live instances"]


def _state(problem: Problem, h: Any, c: Any) -> Problem | None:
    state = problem.inputs.state
    if h.shape != state.h.shape or c.shape != state.c.shape:
        return None
    return problem.with_inputs(state=replace(state, h=h, c=c))


def _solves(case: Case, problem: Problem) -> bool:
    """Whether the case's results are the right ones of another problem, and not of its own."""
    try:
        return not case.matches(vary(case.problem, RIGHT)) and case.matches(vary(problem, RIGHT))
    except ValueError:  # sizes that do not go together
        return False


def _named(
    explanations: Iterable[Explanation],
    right: Callable[[Problem], Tensors | None],
    cases: list[Case],
    executor: Executor,
    ulps: float,
    fresh: Case,
) -> str | None:
    """The first explanation that holds in all cases, a fresh one on which it makes sense among them."""
    square: list[Case | None] = []
    for words, tensors in explanations:
        if not all(case.matches(tensors(case.problem)) for case in cases):
            continue
        deciding: Case | None = fresh
        if tensors(fresh.problem) is None:  # it needs a square matrix
            square = square or [_fresh(executor, fresh.problem, ulps, square=True)]
            deciding = square[0]
        if (
            deciding is not None
            and deciding.matches(tensors(deciding.problem))
            and not deciding.matches(right(deciding.problem))
        ):
            return words
    return None


def _fresh(executor: Executor, like: Problem, ulps: float, square: bool) -> Case | None:
    """A problem with the features of another, spread values, and sizes that tell things apart; square: I = D * R."""
    steps, batch, inputs, hidden, projection = FRESH
    old = like.spec
    for size in (hidden, old.hidden_size):  # the backend may not promise the larger
        proj = min(projection, size - 1) if old.proj_size else 0
        spec = replace(old, input_size=inputs, hidden_size=size, proj_size=proj)
        spec = replace(spec, input_size=spec.output_size) if square else spec
        lengths = None
        if like.inputs.lengths is not None:
            zero = bool((like.inputs.lengths == 0).any())
            lengths = np.array([4, 0 if zero else 2, 6, 3, 5])
        problem = draw_problem(spec, steps, batch, 20, lengths=lengths, training=like.training)
        case = run_case(executor, problem, ulps)
        if case is not None:
            return case
    return None


def _precision(cases: list[Case]) -> str | None:
    """Which rounding the residual of one layer's y is that of; None where none explains most of it in every case."""
    spec = cases[0].problem.spec
    if spec.num_layers > 1:
        return None
    best = min(PRECISION_SUSPECTS, key=lambda s: _left(cases[0], s))
    # where several explain it all, the first one listed
    good = [s for s in PRECISION_SUSPECTS if _left(cases[0], s) <= max(EXPLAINED / 4, 1.5 * _left(cases[0], best))]
    for suspect in good:
        if all(_left(case, suspect) <= EXPLAINED for case in cases):
            return f"the residual is that of {suspect.words}"
    bits = cases[0].judgement.effective_bits
    for name, typical in (("float32", 24.0), ("TF32 or float16", 11.0), ("bfloat16", 8.0)):
        if (
            bits is not None
            and typical < PROMISED_BITS[spec.precision] - 2
            and abs(bits - typical) <= 1.5
            and cases[0].judgement.max_error < 2.0 ** (2 - typical)
        ):
            return f"the residual is about that of {name}: {bits:.1f} effective bits"
    return None


def _left(case: Case, suspect: Variation) -> float:
    """Mean residual of y with the suspect over that without, both without the largest twentieth: a value between two roundings
    may go either way, and is then far off."""
    got = case.got["y"]
    means = []
    for variation in (suspect, RIGHT):
        found = vary(case.problem, variation, got)
        if found is None:
            return np.inf
        stored = found["y"].astype(case.problem.spec.dtype).astype(np.float64)
        residual = np.sort(np.abs(got - stored), axis=None)
        means.append(float(residual[: max(1, int(0.95 * residual.size))].mean()))
    return means[0] / means[1] if means[1] > 0 else np.inf


def _sizes(executor: Executor, problem: Problem, ulps: float) -> list[str]:
    """What sizes or values it takes, for a failure that ordinary problems do not show."""
    spec = problem.spec

    def right(steps: int = 0, batch: int = 0, inputs: int = 0, hidden: int = 0) -> bool | None:
        t, b, size = problem.steps + steps, problem.batch + batch, spec.hidden_size + hidden
        if min(t, b, size, spec.input_size + inputs) < 1 or (spec.proj_size and size <= spec.proj_size):
            return None
        lengths = problem.inputs.lengths
        lengths = None if lengths is None else np.minimum(np.resize(lengths, b), t)
        other = replace(spec, input_size=spec.input_size + inputs, hidden_size=size)
        case = run_case(executor, draw_problem(other, t, b, 21, lengths=lengths, training=problem.training), ulps)
        return None if case is None else case.judgement.agrees

    if right():
        given = [problem.inputs.x, problem.inputs.state.c, *(a for _, a in problem.weights.items())]
        largest = max(float(np.nanmax(np.abs(np.asarray(a, np.float64)), initial=0.0)) for a in given)
        if problem.regime == "spread" and largest <= EXTREME:
            return []
        kind = f"{problem.regime}, the largest {largest:.3g}"
        return [f"with spread values the same sizes are right: it is the values here that matter ({kind})"]
    found = []
    for letter, axis, size in (
        ("T", "steps", problem.steps),
        ("B", "batch", problem.batch),
        ("I", "inputs", spec.input_size),
        ("H", "hidden", spec.hidden_size),
    ):
        below, above = right(**{axis: -1}), right(**{axis: 1})
        if below and above:
            found.append(f"it is wrong at {letter}={size}, and right at {size - 1} and {size + 1}")
        elif below:
            found.append(f"it is wrong from {letter}={size} on, and right at {size - 1}")
        elif above:
            found.append(f"it is wrong at {letter}={size}, and right at {size + 1}")
    return found[:2]


def _where(large: Case, case: Case, finding: FailureLocation, backward: bool, fresh: Case | None = None) -> list[str]:
    """Where it is off, and which gate would explain it; of a forward."""
    if backward:
        wrong = [n for n, t in large.tolerances.items() if n in large.got and (t.ratios(large.got[n])[0] > 1).any()]
        names = [n for n in large.got if n.startswith("gradient")]
        few = 0 < len(wrong) <= len(names) // 2
        return [f"only the {' and the '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} off"] if few else []
    where = places(large) or (places(fresh) if fresh is not None else None)
    return [s for s in (where, gate_blame(case, finding.spot)) if s]
