"""Suspects about activations, the cell, the final states, and about precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from lstm_parity.backends import DirectionWeights
from lstm_parity.backends.problem import Array

from ....oracle.noise import truncated
from ....problems.problem import Problem
from ..variation import RIGHT, Tensors, Variation, sigmoid, vary
from .changes import all_weights, with_state, with_x


def _clipped(low: float, high: float) -> Callable[[Array], Array]:
    return lambda z: np.asarray(np.clip(z, low, high))


def activations() -> Iterator[Variation]:
    """About sigmoid, tanh and the cell."""

    def both(words: str, function: Callable[[Array], Array]) -> Variation:
        return Variation(words, sigmoid=function, output_gate=function)

    def tanhs(words: str, function: Callable[[Array], Array]) -> Variation:
        def output(w: DirectionWeights, o: Array, c: Array) -> Array:
            m = o * function(c)
            return m if w.w_hr is None else m @ w.w_hr.T

        return Variation(words, candidate=function, output=output)

    def out(words: str, function: Callable[[Array, Array], Array]) -> Variation:
        def output(w: DirectionWeights, o: Array, c: Array) -> Array:
            m = function(o, c)
            return m if w.w_hr is None else m @ w.w_hr.T

        return Variation(words, output=output)

    yield out("the output gate is missing: h = tanh(c)", lambda o, c: np.tanh(c))
    yield out("the tanh of c is missing: h = o * c", lambda o, c: o * c)
    yield out("h = o * sigmoid(c)", lambda o, c: o * sigmoid(c))
    yield both("sigmoid is the hard one, 0.2 z + 0.5 clipped to 0..1", lambda z: np.clip(0.2 * z + 0.5, 0, 1))
    yield both("sigmoid is the hard one, z / 6 + 0.5 clipped to 0..1", lambda z: np.clip(z / 6 + 0.5, 0, 1))
    yield tanhs("tanh is z clipped to -1..1", _clipped(-1, 1))
    yield tanhs("tanh is z / (1 + |z|)", lambda z: z / (1 + np.abs(z)))
    yield Variation("the candidate goes through a sigmoid", candidate=sigmoid)
    yield Variation("the candidate has no activation", candidate=lambda z: z)
    yield Variation("the candidate's activation is max(z, 0)", candidate=lambda z: np.maximum(z, 0))
    yield Variation("the output gate goes through a tanh", output_gate=np.tanh)
    yield Variation("the forget gate is 1 - f", cell=lambda i, f, g, c: (1 - f) * c + i * g)
    yield Variation("the input gate is 1 - f", cell=lambda i, f, g, c: f * c + (1 - f) * g)
    yield Variation("the forget gate is 1 - i", cell=lambda i, f, g, c: (1 - i) * c + i * g)
    yield Variation("the input gate is missing: c = f * c' + g", cell=lambda i, f, g, c: f * c + g)
    yield Variation("the forget gate is missing: c = c' + i * g", cell=lambda i, f, g, c: c + i * g)
    yield Variation("the forget gate acts on the candidate, too", cell=lambda i, f, g, c: f * (c + i * g))
    yield Variation("the candidate is subtracted", cell=lambda i, f, g, c: f * c - i * g)
    yield Variation("c is clipped to -1..1", kept=_clipped(-1, 1))
    yield Variation("c is squashed by tanh before it is handed on", cell=lambda i, f, g, c: f * np.tanh(c) + i * g)
    yield Variation("the step before is forgotten: h' is 0 from the second step on", handed=lambda h: h * 0)


def results() -> Iterator[Variation]:
    """About the final states."""

    def moved(p: Problem, t: Tensors) -> Tensors:
        return t | {"h_n": t["c_n"], "c_n": t["h_n"]} if t["h_n"].shape == t["c_n"].shape else t

    def earlier(name: str) -> Callable[[Problem, Tensors], Tensors]:
        def returned(p: Problem, t: Tensors) -> Tensors:
            if p.steps < 2 or p.spec.bidirectional or p.inputs.lengths is not None:
                return t
            short = vary(p.with_inputs(x=p.inputs.x[:-1]), RIGHT)
            return t if short is None else t | {name: short[name]}

        return returned

    def first_y(p: Problem, t: Tensors) -> Tensors:
        return t | {"h_n": t["y"][:1]} if p.spec.num_layers == 1 and not p.spec.bidirectional else t

    yield Variation("c_n is tanh(c)", returned=lambda p, t: t | {"c_n": np.tanh(t["c_n"])})
    yield Variation("h_n is tanh(c)", returned=lambda p, t: t | {"h_n": np.tanh(t["c_n"])} if not p.spec.proj_size else t)
    yield Variation("h_n and c_n are swapped", returned=moved)
    yield Variation("h_n is h of the first step", returned=first_y)
    yield Variation("h_n is h of the step before the last", returned=earlier("h_n"))
    yield Variation("c_n is c of the step before the last", returned=earlier("c_n"))
    for name in ("h_n", "c_n"):
        yield Variation(
            f"{name} of the first row is returned for all",
            returned=lambda p, t, n=name: t | {n: t[n][:, :1].repeat(t[n].shape[1], 1)},  # type: ignore[misc]
        )
        yield Variation(
            f"{name} is the initial state",
            returned=lambda p, t, n=name: t | {n: np.asarray(getattr(p.inputs.state, n[0]), np.float64)},  # type: ignore[misc]
        )


def _to(dtype: Any) -> Callable[[Array], Array]:
    return lambda a: np.asarray(a).astype(dtype).astype(np.float64)


def _tf32_rounded(a: Array) -> Array:
    """float64 values rounded to the 10 bits of mantissa that TF32 has beside the leading one."""
    fraction, exponent = np.frexp(a)
    return np.asarray(np.ldexp(np.round(fraction * 2048) / 2048, exponent))


HALF, BRAIN = _to(np.float16), _to(ml_dtypes.bfloat16)

PRECISION_SUSPECTS = (
    Variation("TF32 or float16 (operands of products rounded to 10 bits)", operand=_tf32_rounded),
    Variation("TF32 (operands of products truncated to 10 bits)", operand=truncated),
    Variation("float16 operands of products", operand=HALF),
    Variation("bfloat16 operands of products", operand=BRAIN),
    Variation("c kept in float16", kept=HALF),
    Variation("c kept in bfloat16", kept=BRAIN),
    Variation("c kept in float32", kept=_to(np.float32)),
    Variation("float32 operands of products", operand=_to(np.float32)),
    Variation("h kept in float16 between the steps", problem=with_state(lambda h, c: (HALF(h), c)), handed=HALF),
    Variation("h kept in bfloat16 between the steps", problem=with_state(lambda h, c: (BRAIN(h), c)), handed=BRAIN),
    Variation("U in bfloat16", problem=all_weights(lambda w: replace(w, w_hh=BRAIN(w.w_hh)))),
    Variation("U in float16", problem=all_weights(lambda w: replace(w, w_hh=HALF(w.w_hh)))),
    Variation("x in float16", problem=with_x(HALF)),
    Variation("x in bfloat16", problem=with_x(BRAIN)),
    Variation("c0 in float16", problem=with_state(lambda h, c: (h, HALF(c)))),
)
"""What products, c and h may have been rounded to; the residual tells. In words that follow "the residual is that of"."""
