"""Activations that are hard, rational, clipped, tabulated, overflow, or are missing."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..fault import fault
from ..lstm import sigmoid
from ..right import fast_sigmoid

activation = partial(fault, "activation")


def rational_tanh(lstm: Any, z: Array) -> Array:
    """Of degree 3, off by 0.02."""
    z = np.clip(z, -3, 3)
    return np.asarray(z * (27 + z * z) / (27 + 9 * z * z))


def continued_fraction_tanh(lstm: Any, z: Array) -> Array:
    """Five terms, off by 1e-4."""
    z = np.clip(z, -4.97, 4.97)
    q = z * z
    return np.asarray(z * (10395 + q * (1260 + 21 * q)) / (10395 + q * (4725 + q * (210 + q))))


def sigmoid_overflows(lstm: Any, z: Array) -> Array:
    """NaN once exp(z) is infinite."""
    e = np.exp(z)
    return np.asarray(e / (1 + e))


def sigmoid_overflows_below(lstm: Any, z: Array) -> Array:
    """NaN once exp(-z) is infinite."""
    e = np.exp(-z)
    return np.asarray(1 - e / (1 + e))


def tanh_overflows(lstm: Any, z: Array) -> Array:
    """NaN once exp(2 z) is infinite."""
    e = np.exp(2 * z)
    return np.asarray((e - 1) / (e + 1))


FAULTS = (
    activation("cell-not-squashed", "the tanh of c is missing: h = o * c", squashed=lambda _, c: c),
    activation("cell-squashed-by-sigmoid", "h = o * sigmoid(c)", squashed=lambda _, c: sigmoid(c)),
    activation(
        "hard-sigmoid", "sigmoid is the hard one, 0.2 z + 0.5 clipped to 0..1", sigmoid=lambda _, z: np.clip(z / 5 + 0.5, 0, 1)
    ),
    activation(
        "hard-sigmoid-of-sixths",
        "sigmoid is the hard one, z / 6 + 0.5 clipped to 0..1",
        sigmoid=lambda _, z: np.clip(z / 6 + 0.5, 0, 1),
    ),
    activation("hard-tanh", "tanh is z clipped to -1..1", tanh=lambda _, z: np.clip(z, -1, 1)),
    activation("softsign", "tanh is z / (1 + |z|)", tanh=lambda _, z: z / (1 + np.abs(z))),
    activation("candidate-by-sigmoid", "the candidate goes through a sigmoid", candidate=lambda _, z: sigmoid(z)),
    activation("candidate-without-activation", "the candidate has no activation", candidate=lambda _, z: z),
    activation("candidate-rectified", "the candidate's activation is max(z, 0)", candidate=lambda _, z: np.maximum(z, 0)),
    activation("cell-clipped", "c is clipped to -1..1", cell=lambda _, i, f, g, c: np.clip(f * c + i * g, -1, 1)),
    activation(
        "cell-squashed-between-steps", "each step starts from tanh(c')", cell=lambda _, i, f, g, c: f * np.tanh(c) + i * g
    ),
    activation("rational-tanh", "tanh is a rational function of degree 3, clipped at 3: off by 0.02", tanh=rational_tanh),
    activation(
        "continued-fraction-tanh",
        "tanh is a continued fraction of five terms, clipped at 4.97: off by 1e-4",
        tanh=continued_fraction_tanh,
    ),
    activation(
        "tanh-slightly-off",
        "tanh is off by up to 1e-4, up and down",
        tanh=lambda _, z: (np.tanh(z) + 1e-4 * np.sin(20 * z)).astype(z.dtype),
        hint=False,
    ),
    activation("tanh-clipped", "the argument of tanh is clipped to -4..4", tanh=lambda _, z: np.tanh(np.clip(z, -4, 4))),
    activation(
        "sigmoid-clipped",
        "the argument of sigmoid is clipped to -8..8, so that no gate ever closes",
        sigmoid=lambda _, z: sigmoid(np.clip(z, -8, 8)),
    ),
    activation(
        "sigmoid-from-table",
        "sigmoid comes from a table with steps of 1/1024, not interpolated",
        sigmoid=lambda _, z: sigmoid(np.rint(z * 1024) / 1024),
        hint=False,
    ),
    activation(
        "fast-activations-undeclared",
        "both activations come from an exponential with a short polynomial, and 4 units are promised where 28 are needed",
        sigmoid=lambda _, z: fast_sigmoid(z),
        tanh=lambda _, z: 2 * fast_sigmoid(2 * z) - 1,
        hint=False,
    ),
    activation(
        "gates-above-one",
        "a saturated sigmoid is 1 + 1e-5",
        sigmoid=lambda _, z: (sigmoid(z) * (1 + 1e-5)).astype(z.dtype),
        hint=False,
    ),
    activation("sigmoid-overflows", "sigmoid is exp(z) / (1 + exp(z)), NaN for large z", sigmoid=sigmoid_overflows, hint=False),
    activation(
        "sigmoid-overflows-below",
        "sigmoid is 1 - t / (1 + t) with t = exp(-z), NaN for large negative z",
        sigmoid=sigmoid_overflows_below,
        hint=False,
    ),
    activation("tanh-overflows", "tanh is (exp(2 z) - 1) / (exp(2 z) + 1), NaN for large z", tanh=tanh_overflows, hint=False),
)
