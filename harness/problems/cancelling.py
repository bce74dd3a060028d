"""Problems that show in what precision a backend computes: they amplify the effect of internal rounding on the result.

In a spread problem an operand truncated to 11 bits changes z by about 2^-12 of it, no more than a gate rounded to float16 or an
activation with an error of 1000 u. Here the terms of a sum come in pairs, one nearly the negative of the other: the sums are as
large as in a spread problem, their terms `LARGER` times as large. Errors of operands, or of a sum kept in few bits, grow with
the terms; errors after the sum do not.
"""

from __future__ import annotations

import numpy as np

from lstm_parity.backends import LSTMState
from lstm_parity.backends.problem import Array

from .problem import Problem

LARGER = 32.0
"""About the ratio of the terms to their sum."""

SHIFT = 15
"""`scaled` moves 2^SHIFT from x to W: both then leave the normal range of float16, and of no other format."""


def first_step(problem: Problem) -> Problem:
    """The problem's first step alone: its h and c have not been rounded yet."""
    return problem.first_rows_and_steps(problem.batch, 1)


def without_products(problem: Problem) -> Problem:
    """One step without products: x, h0 and b are 0, every gate is 1/2 exactly, and c is c0 / 2."""
    found = first_step(problem).map_weights(lambda name, a: 0 * a if name.startswith("b_") else a)
    s = found.inputs.state
    return found.with_inputs(x=0 * found.inputs.x, state=LSTMState(0 * s.h, s.c))


def cancelling(problem: Problem, name: str, seed: int) -> Problem:
    """One step in which the terms of W x (name "W") or U h0 (name "U") cancel; of an odd number the last is unchanged."""
    rng, dtype = np.random.default_rng(seed), problem.spec.dtype
    one = first_step(problem)
    state = one.inputs.state
    read = np.array(one.inputs.x if name == "W" else state.h, np.float64)
    half = read.shape[2] // 2
    field = {"W": "w_ih", "U": "w_hh"}[name]

    def near(array: Array) -> Array:
        return array + rng.standard_normal(array.shape) / LARGER

    first = rng.uniform(0.5, 1.0, (*read.shape[:2], half)) * rng.choice([-0.9, 0.9], (*read.shape[:2], half))
    read[..., :half], read[..., half : 2 * half] = first, -near(first)
    size = LARGER / max(1, half) ** 0.5
    gates = 4 * problem.spec.hidden_size
    factors = rng.uniform(0.5, 1.0, (gates, half)) * rng.choice([-1.0, 1.0], (gates, half))
    pairs = np.concatenate([size * factors, size * near(factors)], axis=1)
    found = one.map_weights(lambda n, a: np.concatenate([pairs, a[:, 2 * half :]], axis=1) if n == field else a)
    if name == "W":
        return found.with_inputs(x=read.astype(dtype))
    return found.with_inputs(state=LSTMState(read.astype(dtype), state.c))


def scaled(problem: Problem) -> Problem:
    """The same with x divided and W multiplied by 2^SHIFT, which changes no product that has the exponents of float32."""
    x = np.ldexp(np.asarray(problem.inputs.x, np.float64), -SHIFT).astype(problem.spec.dtype)
    found = problem.with_inputs(x=x)
    return found.map_weights(lambda name, a: np.ldexp(a, SHIFT) if name == "w_ih" else a)
