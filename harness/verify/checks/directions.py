"""Directions, layers and hidden units: an LSTM equals its parts, in any order of units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstm_parity.backends import LSTMState, LSTMWeights
from lstm_parity.backends.numpy_reference import reverse_valid

from ...problems.problem import Problem
from ...problems.related import UnitPermutation, flipped
from ...problems.requirements import ProblemRequirements
from ..check import CheckList, CheckRun

BOTH_DIRECTIONS = ProblemRequirements(bidirectional=True, several_layers=False, training=False)

checks = CheckList()


@checks.add("reverse-is-flipped", "the reverse direction is the forward one on flipped input, flipped", BOTH_DIRECTIONS)
def _reverse(run: CheckRun, problem: Problem) -> None:
    r, lengths, state = problem.spec.state_size, problem.inputs.lengths, problem.inputs.state
    swapped = replace(problem, weights=LSTMWeights((problem.weights.layers[0][::-1],)))
    swapped = flipped(swapped).with_inputs(state=LSTMState(state.h[::-1], state.c[::-1]))
    straight, other = run.call(problem), run.call(swapped)
    y = np.concatenate([other.y[..., r:], other.y[..., :r]], axis=2)
    back = {"y": reverse_valid(y, lengths), "h_n": other.h_n[::-1], "c_n": other.c_n[::-1]}
    run.require_same(problem, straight.tensors(), back, "the run with both directions swapped and time reversed")


@checks.add("two-halves", "a bidirectional LSTM is its two directions concatenated", BOTH_DIRECTIONS)
def _halves(run: CheckRun, problem: Problem) -> None:
    lengths = problem.inputs.lengths
    both = run.call(problem)
    forward, reverse = run.call(problem.one_direction(0)), run.call(flipped(problem.one_direction(1)))
    apart = {
        "y": np.concatenate([forward.y, reverse_valid(reverse.y, lengths)], axis=2),
        "h_n": np.concatenate([forward.h_n, reverse.h_n]),
        "c_n": np.concatenate([forward.c_n, reverse.c_n]),
    }
    run.require_same(problem, both.tensors(), apart, "the two directions run alone")


@checks.add(
    "layers-chained", "a stack is its layers one after the other", ProblemRequirements(several_layers=True, training=False)
)
def _chained(run: CheckRun, problem: Problem) -> None:
    whole, x = run.call(problem), problem.inputs.x
    h_n, c_n = [], []
    for layer in range(problem.spec.num_layers):
        one = run.call(problem.one_layer(layer, x))
        x = one.y
        h_n.append(one.h_n)
        c_n.append(one.c_n)
    chained = {"y": x, "h_n": np.concatenate(h_n), "c_n": np.concatenate(c_n)}
    run.require_same(problem, whole.tensors(), chained, "its layers run one after the other")


@checks.add(
    "units-permuted",
    "permuting the hidden units in every weight permutes the result",
    ProblemRequirements(min_hidden=2),
)
def units_permuted(run: CheckRun, problem: Problem) -> None:
    """Results and gradients follow a permutation of the units."""
    order = UnitPermutation(problem)
    permuted = order.problem()
    straight, other = run.call(problem).tensors(), run.call(permuted).tensors()
    run.require_same(permuted, other, order.tensors(straight), "the run with the units in the original order")
