"""The lecture's own examples of what an LSTM is for (A. Ng, Sequence Models: bidirectional RNNs, and the LSTM unit)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstm_parity.backends import Capabilities

from ...problems.problem import Problem
from ...problems.regimes import draw_problem
from ...problems.requirements import ProblemRequirements
from ...problems.values import word_vectors
from ..check import CheckList, CheckRun
from .closed_forms import drift_allowed, preserving

BEARS = ("He", "said", ",", "Teddy", "bears", "are", "on", "sale", "!", "")
ROOSEVELT = ("He", "said", ",", "Teddy", "Roosevelt", "was", "a", "great", "President", "!")
SHARED = 4
"""How many words both begin with."""
WORD, HIDDEN = 6, 5
"""Sizes of a word vector and of the state."""
LONG_PERIOD = 10_000
SMALLEST = ProblemRequirements(
    several_layers=False,
    bidirectional=False,
    training=False,
    projection=False,
    peephole=False,
    bias=True,
    lengths=False,
    max_steps=1,
    regimes=("spread",),
)
"""Only the precision is drawn: the sizes are the lecture's."""

checks = CheckList()


def _hidden(capabilities: Capabilities, size: int) -> int:
    """The hidden size, or the largest that the backend promises."""
    return min(size, capabilities.max_hidden_size or size)


def _sentence_problem(drawn: Problem, capabilities: Capabilities) -> Problem:
    spec = replace(drawn.spec, input_size=WORD, hidden_size=_hidden(capabilities, HIDDEN))
    return draw_problem(spec, len(BEARS), 1, 0)


def _sentences(problem: Problem) -> list[Problem]:
    return [problem.with_inputs(x=word_vectors(words, WORD).astype(problem.spec.dtype)) for words in (BEARS, ROOSEVELT)]


@checks.add(
    "lecture-teddy",
    "two sentences with the same beginning give the same on it",
    SMALLEST,
    prepare=_sentence_problem,
    cost=10,
)
def _teddy(run: CheckRun, problem: Problem) -> None:
    bears, roosevelt = _sentences(problem)
    one, other = ({"y": run.call(p).y[:SHARED]} for p in (bears, roosevelt))
    against = "the other sentence, on the words that both begin with"
    if run.capabilities.deterministic:
        run.require_same_bits(one, other, against)
    run.require_same(bears.first_rows_and_steps(1, SHARED), one, other, against)


@checks.add(
    "lecture-teddy-both-ways",
    "the reverse direction distinguishes two sentences on their common beginning",
    replace(SMALLEST, bidirectional=True),
    prepare=_sentence_problem,
    cost=10,
)
def _teddy_both_ways(run: CheckRun, problem: Problem) -> None:
    sentences = _sentences(problem)
    one, other = (np.asarray(run.call(p).y[:SHARED], np.float64) for p in sentences)
    tolerances = [run.expected(p).tolerances(run.ulps)["y"] for p in sentences]
    allowed = sum(t.allowed[:SHARED] for t in tolerances)
    apart = np.abs(tolerances[0].reference[:SHARED] - tolerances[1].reference[:SHARED])
    # each may have its whole allowed error, so only elements that differ by twice the sum must differ
    same = (apart > 2 * allowed) & (np.abs(one - other) <= allowed)
    run.require(
        not same[..., problem.spec.hidden_size :].any(),
        "the reverse direction gives the same for both sentences, although their later words differ",
    )


def _long_period(drawn: Problem, capabilities: Capabilities) -> Problem:
    spec = replace(drawn.spec, input_size=1, hidden_size=_hidden(capabilities, 2))
    return preserving(draw_problem(spec, LONG_PERIOD, 1, 0))


@checks.add(
    "lecture-long-periods",
    f"c is preserved over {LONG_PERIOD:,} steps with f = 1 and i = 0",
    SMALLEST,
    prepare=_long_period,
    sensitive_to=("c0",),
    cost=25,
)
def _long_periods(run: CheckRun, problem: Problem) -> None:
    c_n = run.call(problem).c_n
    against = f"c0, {LONG_PERIOD:,} steps before"
    run.require_close("c_n", c_n, problem.inputs.state.c, drift_allowed(problem, run.ulps), against)
