"""How problems are drawn: sizes, features, lengths, values. Hypothesis shrinks towards the first and smallest of each."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lstm_parity.backends import Capabilities, LSTMSpec, LSTMWeights
from lstm_parity.backends.numpy_reference import Trace, backward, forward
from lstm_parity.backends.problem import Array

from .problem import Problem
from .regimes import FORWARD_ONLY, draw_problem
from .requirements import ProblemRequirements

SMALL = 9
"""Maximum size of the axes that are not at a tile boundary."""

TILE_BOUNDARIES = tuple(sorted({n + d for n in (4, 8, 16, 32, 64, 128) for d in (-1, 0, 1)} | {100, 101, 256, 257}))
"""Sizes around multiples of tiles, warps, blocks and vector registers."""

LONG = (*TILE_BOUNDARIES, 1000)
"""Numbers of steps where no other size is large."""

BOUNDARY_AXES: tuple[tuple[str, ...], ...] = (
    (),
    *combinations(("steps", "batch", "input", "hidden"), 1),
    *combinations(("steps", "batch", "input", "hidden"), 2),
)
"""Axes that are at a tile boundary together: none, any one, any two."""

EQUAL = ("", "", "", "", "batch to steps", "batch to hidden", "input to hidden", "input to gates")
"""Which size is made equal to another one: some transposed or confused axes can be seen only there. gates: 4H."""

FILE_VALUES = 1 << 16
"""With weights from a file, whose sizes are fixed, T * B * H is about this at most."""

PRECISIONS = ("float32", "float64", "tf32", "float16", "bfloat16")
"""The simplest first."""

COARSE = PRECISIONS[2:]
ONE_LAYER = ("large",)
"""Regimes in which no stack of a coarse precision is drawn: with weights in the thousands, rounding alone decides on which side
a gate near its threshold saturates, and the layers above read another sequence. A tolerance from a few noisy runs does not
cover that; the certificate of one layer does.
"""

MAX_GRADIENT = 2.0**10
"""grad_y is scaled so that the reference's gradients stay below this: the largest float16 is 65504."""

LENGTHS = ("full", "ragged", "equal", "with zeros", "all zero")


@st.composite
def problems(
    draw: st.DrawFn, capabilities: Capabilities, requirements: ProblemRequirements, file_weights: LSTMWeights | None = None
) -> Problem:
    """Problems that meet the requirements and that the backend promises to solve; requirements.unmet must be None."""
    if requirements.half_training and capabilities.gradients:
        requirements = replace(requirements, training=draw(st.booleans()))
    precision: Any = requirements.precision or draw(st.sampled_from([p for p in PRECISIONS if p in capabilities.precisions]))
    regimes = [r for r in requirements.regimes if not (requirements.training and r in FORWARD_ONLY)]
    training = _flag(draw, requirements.training, capabilities.gradients, rarely=True)
    if training:
        regimes = [r for r in regimes if r not in FORWARD_ONLY]
    usual = [r for r in regimes if r == "spread"] * (len(regimes) + 1)  # half of all, and the first
    from_file = file_weights is not None and requirements.fits(file_weights.infer_spec()) and "spread" in regimes
    regime = draw(st.sampled_from([*usual, *regimes, *["file"] * (from_file * len(regimes))]))
    at_boundary = () if requirements.small else draw(st.sampled_from(BOUNDARY_AXES))

    steps = draw(_size("steps", at_boundary, requirements.min_steps, requirements.max_steps))
    batch = draw(_size("batch", at_boundary, requirements.min_batch))
    equal = draw(st.sampled_from(EQUAL))
    weights = None
    if regime == "file" and file_weights is not None:
        spec = replace(file_weights.infer_spec(), precision=precision)
        weights = file_weights.astype(spec.dtype)
        batch = max(requirements.min_batch, min(batch, FILE_VALUES // spec.hidden_size))
        steps = max(requirements.min_steps, min(steps, FILE_VALUES // (spec.hidden_size * batch)))
    else:
        spec = _spec(draw, capabilities, requirements, precision, at_boundary)
        if regime in ONE_LAYER and spec.num_layers > 1 and precision in COARSE:
            regime = "spread"
        room = SMALL if len(at_boundary) > 1 else TILE_BOUNDARIES[-1]  # two large sizes are enough
        if equal == "batch to steps" and requirements.min_batch <= steps <= room:
            batch = steps
        elif equal == "batch to hidden" and requirements.min_batch <= spec.hidden_size <= room:
            batch = spec.hidden_size
        elif equal == "input to hidden" and spec.hidden_size <= room:
            spec = replace(spec, input_size=spec.hidden_size)
        elif equal == "input to gates" and 4 * spec.hidden_size <= TILE_BOUNDARIES[-1] and spec.hidden_size <= room:
            spec = replace(spec, input_size=4 * spec.hidden_size)
    lengths = None
    if _flag(draw, requirements.lengths, capabilities.lengths):
        kinds = LENGTHS if capabilities.zero_lengths else LENGTHS[:3]
        lengths = _lengths(draw(st.sampled_from(kinds)), steps, batch, draw(st.integers(0, 2**16 - 1)))
    seed = draw(st.integers(0, 2**16 - 1))
    return draw_problem(spec, steps, batch, seed, lengths=lengths, training=training, regime=regime, weights=weights)


def _flag(draw: st.DrawFn, required: bool | None, promised: bool, *, rarely: bool = False) -> bool:
    if required is not None:
        return required
    return promised and draw(st.sampled_from([False, False, False, True]) if rarely else st.booleans())


def _size(axis: str, at_boundary: tuple[str, ...], lowest: int = 1, highest: int | None = None) -> st.SearchStrategy[int]:
    boundaries = LONG if at_boundary == ("steps",) else TILE_BOUNDARIES
    sizes = [n for n in boundaries if n >= lowest and (highest is None or n <= highest)]
    if axis in at_boundary and sizes:
        return st.sampled_from(sizes)
    return st.integers(lowest, max(lowest, min(SMALL, highest or SMALL)))


def _spec(
    draw: st.DrawFn, capabilities: Capabilities, requirements: ProblemRequirements, precision: Any, at_boundary: tuple[str, ...]
) -> LSTMSpec:
    hidden = draw(_size("hidden", at_boundary, requirements.min_hidden, capabilities.max_hidden_size))
    input_size = draw(_size("input", at_boundary))
    layers = 1
    most = capabilities.num_layers or 3
    if requirements.several_layers or (
        requirements.several_layers is None and most > 1 and draw(st.sampled_from([False, False, True]))
    ):
        layers = draw(st.integers(2, min(3, most)))
    bidirectional = _flag(draw, requirements.bidirectional, capabilities.bidirectional)
    projection = 0
    if hidden > 1 and _flag(draw, requirements.projection, capabilities.projection, rarely=True):
        projection = draw(st.integers(1, hidden - 1))
    peephole = _flag(draw, requirements.peephole, capabilities.peephole, rarely=True)
    bias = requirements.bias if requirements.bias is not None else not _flag(draw, None, capabilities.no_bias, rarely=True)
    return LSTMSpec(input_size, hidden, layers, bidirectional, projection, bias, peephole, precision)


def _lengths(kind: str, steps: int, batch: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    match kind:
        case "full":
            return np.full(batch, steps)
        case "ragged":
            return np.asarray(rng.integers(1, steps + 1, batch))
        case "equal":
            return np.full(batch, rng.integers(1, steps + 1))
        case "with zeros":
            return np.asarray(rng.integers(0, steps + 1, batch))
    return np.zeros(batch, np.int64)


def with_bounded_gradients(problem: Problem) -> Problem:
    """grad_y and grad_state times a power of two such that no gradient exceeds MAX_GRADIENT."""
    spec, weights, inputs = problem.spec, problem.weights, problem.inputs
    trace = Trace()
    forward(spec, weights, inputs.x, inputs.state, inputs.lengths, trace)
    assert inputs.grad_y is not None
    assert inputs.grad_state is not None
    found = backward(spec, weights, trace, inputs.grad_y, inputs.grad_state)
    arrays = [found.x, found.h0, found.c0, *(a for _, a in found.weights.items())]
    largest = max(float(np.abs(a).max(initial=0.0)) for a in arrays)
    if not np.isfinite(largest) or largest <= MAX_GRADIENT:
        return problem
    factor = 2.0 ** np.floor(np.log2(MAX_GRADIENT / largest))

    def scaled(array: Array) -> Array:
        return np.asarray((np.asarray(array, np.float64) * factor).astype(spec.dtype))

    state = replace(inputs.grad_state, h=scaled(inputs.grad_state.h), c=scaled(inputs.grad_state.c))
    return problem.with_inputs(grad_y=scaled(inputs.grad_y), grad_state=state)
