"""Regimes of values: the kinds of numbers that problems are made of. All are pure functions of a generator.

Spread gates show most faults (see values.py); the other regimes show the rest: an exponential that overflows, a zero that is
treated as a missing value, a sum that is not compensated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .problem import Problem
from .values import spread_inputs, spread_weights

DIGITS = 3
"""Spread values are rounded to this many significant digits: they print short, and their binary digits are as random."""


def _rounded(array: Array) -> Array:
    """To DIGITS significant digits."""
    wide = np.asarray(array, np.float64)
    size = np.floor(np.log10(np.where(wide == 0, 1.0, np.abs(wide))))
    scale = 10.0 ** (DIGITS - 1 - size)
    return np.asarray(np.round(wide * scale) / scale)


def _map_inputs(p: Problem, change: Callable[[Array], Array]) -> Problem:
    """x, h0 and c0 changed; grad_y and grad_state unchanged."""
    x, h, c = (np.asarray(change(np.asarray(a, np.float64))).astype(p.spec.dtype) for a in p.inputs.arrays()[:3])
    return p.with_inputs(x=x, state=LSTMState(h, c))


def _default(p: Problem, rng: np.random.Generator) -> Problem:
    """The initialization of nn.LSTM: weights and biases uniform within 1 / sqrt(H), zero state."""
    bound = p.spec.hidden_size**-0.5
    found = p.map_weights(lambda _, a: _rounded(rng.uniform(-bound, bound, a.shape)))
    return found.with_inputs(state=LSTMState.zeros(p.spec, p.batch))


def _saturated(p: Problem, rng: np.random.Generator) -> Problem:
    """A third of the gates at +-7, a third at +-40, where sigmoid and tanh round to their limits."""

    def change(name: str, a: Array) -> Array:
        if name != "b_ih" and (name != "w_ih" or p.spec.bias):
            return a
        far = rng.choice([-40.0, -7.0, 0.0, 0.0, 7.0, 40.0], len(a)).reshape(-1, *(1,) * (a.ndim - 1))
        return np.asarray(a + far)

    return p.map_weights(change)


def _tiny(p: Problem, rng: np.random.Generator) -> Problem:
    """Inputs and weights about the smallest normal number of the dtype, subnormal ones among them."""
    least = {"float64": -1022, "float16": -14}.get(p.spec.precision, -126)

    def shrink(a: Array) -> Array:
        return np.ldexp(a, int(least / 2) + rng.integers(-2, 2, a.shape))

    def vanish(a: Array) -> Array:
        return np.ldexp(a, least + rng.integers(-6, 6, a.shape))

    return _map_inputs(p.map_weights(lambda name, a: shrink(a) if name.startswith("w_") else vanish(a)), vanish)


def _sparse(p: Problem, rng: np.random.Generator) -> Problem:
    """Four in five values are exact zeros, half of them negative."""

    def thin(a: Array) -> Array:
        return np.where(rng.random(a.shape) < 0.8, rng.choice([0.0, -0.0], a.shape), a)

    return _map_inputs(p.map_weights(lambda _, a: thin(a)), thin)


def _large(p: Problem, rng: np.random.Generator) -> Problem:
    """Weights times 1000: every gate saturates."""
    return p.map_weights(lambda name, a: a * 1000 if name in ("w_ih", "w_hh") else a)


def _outlier(p: Problem, rng: np.random.Generator) -> Problem:
    """One element of x times 100, and one of c0 times 1000: the forget gate keeps a part of it."""
    x, c = np.array(p.inputs.x), np.array(p.inputs.state.c)
    for array, factor in ((x, 100), (c, 1000)):
        at = tuple(rng.integers(0, n) for n in array.shape)
        array[at] = array[at] * array.dtype.type(factor)
    return p.with_inputs(x=x, state=LSTMState(p.inputs.state.h, c))


def _mixed(p: Problem, rng: np.random.Generator) -> Problem:
    """Inputs of all magnitudes from 1e-6 up."""
    return _map_inputs(p, lambda a: _rounded(a * 10.0 ** rng.uniform(-6, 0, a.shape)))


FORWARD_ONLY = ("tiny", "large")
"""Their gradients underflow or explode."""

REGIMES: dict[str, Callable[[Problem, np.random.Generator], Problem]] = {
    "default": _default,
    "saturated": _saturated,
    "tiny": _tiny,
    "sparse": _sparse,
    "large": _large,
    "outlier": _outlier,
    "mixed": _mixed,
}
"""All but "spread", from which each of them is derived."""


def draw_problem(
    spec: LSTMSpec,
    steps: int,
    batch: int,
    seed: int,
    *,
    lengths: Array | None = None,
    training: bool = False,
    regime: str = "spread",
    weights: LSTMWeights | None = None,
) -> Problem:
    """The problem of these sizes that the seed draws. weights: instead of drawn ones."""
    rng = np.random.default_rng(seed)
    drawn = spread_weights(spec, rng) if weights is None else weights
    problem = Problem(spec, drawn, spread_inputs(spec, steps, batch, rng, training=training), regime)
    if weights is None:
        problem = problem.map_weights(lambda _, a: _rounded(a))
    problem = _map_inputs(problem, _rounded).with_inputs(lengths=lengths)
    return REGIMES[regime](problem, rng) if regime in REGIMES else problem
