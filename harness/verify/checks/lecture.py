"""The lecture's own examples of what an LSTM is for (A. Ng, Sequence Models: bidirectional RNNs, and the LSTM unit)."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from lstm_parity.backends.problem import Array

from ...problems.problem import Problem
from ...problems.regimes import draw_problem
from ...problems.requirements import ProblemRequirements
from ..check import Check
from ..isolation.execute import tensors_of
from ..trial import Trial
from .closed_forms import drift_allowed, holding

BEARS = ("He", "said", ",", "Teddy", "bears", "are", "on", "sale", "!", "")
ROOSEVELT = ("He", "said", ",", "Teddy", "Roosevelt", "was", "a", "great", "President", "!")
SHARED = 4
"""Words at the start that both have."""
WORD, HIDDEN = 6, 5
LONG_PERIOD = 10_000
PLAIN = ProblemRequirements(
    several_layers=False, bidirectional=False, training=False, projection=False, peephole=False, bias=True, lengths=False
)


def _said(words: tuple[str, ...]) -> Array:
    """Word vectors [T, 1, WORD]; the empty word, which pads the shorter sentence, is 0."""
    vectors = [np.random.default_rng(zlib.crc32(w.encode())).standard_normal(WORD) * bool(w) for w in words]
    return np.asarray(vectors)[:, None]


def _at_most(trial: Trial, hidden: int) -> int:
    """The hidden size, or the largest that the backend promises."""
    return min(hidden, trial.capabilities.max_hidden_size or hidden)


def _sentences(trial: Trial) -> tuple[Problem, Problem]:
    drawn = trial.problem()
    spec = replace(drawn.spec, input_size=WORD, hidden_size=_at_most(trial, HIDDEN))
    problem = trial.use(draw_problem(spec, len(BEARS), 1, 0))
    return tuple(problem.with_inputs(x=_said(words).astype(spec.dtype)) for words in (BEARS, ROOSEVELT))  # type: ignore[return-value]


def _teddy(trial: Trial) -> None:
    bears, roosevelt = _sentences(trial)
    one, other = ({"y": tensors_of(trial.run(p))["y"][:SHARED]} for p in (bears, roosevelt))
    if trial.capabilities.deterministic:
        trial.same_bits(one, other, "the other sentence, on the words that both begin with")
    trial.same(bears.first_rows_and_steps(1, SHARED), one, other, "the other sentence, on the words that both begin with")


def _teddy_both_ways(trial: Trial) -> None:
    bears, roosevelt = _sentences(trial)
    one, other = (np.asarray(trial.run(p).y[:SHARED], np.float64) for p in (bears, roosevelt))
    tolerances = [trial.expected(p).tolerances(trial.ulps)["y"] for p in (bears, roosevelt)]
    allowed = sum(t.allowed[:SHARED] for t in tolerances)
    apart = np.abs(tolerances[0].reference[:SHARED] - tolerances[1].reference[:SHARED])
    # each may be off by its share of what is allowed, so only what is twice as far apart must stay apart
    same = (apart > 2 * allowed) & (np.abs(one - other) <= allowed)
    trial.require(
        not same[..., bears.spec.hidden_size :].any(),
        "the reverse direction gives the same for both, though what follows differs",
    )


def _long_periods(trial: Trial) -> None:
    drawn = trial.problem()
    spec = replace(drawn.spec, input_size=1, hidden_size=_at_most(trial, 2))
    problem = trial.use(holding(draw_problem(spec, LONG_PERIOD, 1, 0)))
    c_n = trial.run(problem).c_n
    trial.close("c_n", c_n, problem.inputs.state.c, drift_allowed(problem, trial.ulps), f"c0, {LONG_PERIOD:,} steps before")


SMALLEST = replace(PLAIN, max_steps=1, regimes=("spread",))

CHECKS = (
    Check("lecture-teddy", "two sentences with the same beginning give the same on it", _teddy, SMALLEST, cost=10),
    Check(
        "lecture-teddy-both-ways",
        "the reverse direction tells two sentences apart on their common beginning",
        _teddy_both_ways,
        replace(SMALLEST, bidirectional=True),
        cost=10,
    ),
    Check(
        "lecture-long-periods",
        f"remembering for long periods is its default behaviour: c comes through {LONG_PERIOD:,} steps",
        _long_periods,
        SMALLEST,
        sensitive_to=("c0",),
        cost=25,
    ),
)
