"""Suspects about directions, layers, peepholes and projections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMState
from lstm_parity.backends.problem import Array

from ....problems.problem import Problem
from ..variation import Tensors, Variation
from .changes import all_weights, no_bias, with_state, with_y


def _plain_flip(x: Array, lengths: Array | None) -> Array:
    return x[::-1]


def _unflipped(x: Array, lengths: Array | None) -> Array:
    return x


def directions() -> Iterator[Variation]:
    """About the reverse direction, and how both are put together."""

    def both(change: Callable[[Problem], Problem | None]) -> Callable[[Problem], Problem | None]:
        return lambda p: change(p) if p.spec.bidirectional else None

    def from_other(*names: str) -> Callable[[Problem], Problem | None]:
        def changed(p: Problem) -> Problem:
            layers = p.weights.layers
            return p.with_weights(
                lambda w, l, d: replace(w, **{n: getattr(layers[l][0], n) for n, _ in w.items() if n in names or not names})
            )

        return both(changed)

    def state(h: bool, c: bool) -> Callable[[Problem], Problem | None]:
        def forward(a: Array) -> Array:
            return a[np.arange(len(a)) // 2 * 2]

        return both(with_state(lambda h0, c0: (forward(h0) if h else h0, forward(c0) if c else c0)))

    def halves(change: Callable[[Array, Array], list[Array]]) -> Callable[[Problem, Tensors], Tensors]:
        return with_y(lambda y: np.concatenate(change(*np.split(y, 2, axis=2)), axis=2))

    def same(p: Problem) -> Problem | None:
        return p if p.spec.bidirectional else None

    def pairs(a: Array) -> Array:
        return a.reshape(-1, 2, *a.shape[1:])[:, ::-1].reshape(a.shape)

    def alternating(y: Array) -> Array:
        return np.stack(np.split(y, 2, axis=2), axis=3).reshape(y.shape)

    yield Variation(
        "the reverse direction reads forward in time", problem=both(lambda p: p), turned=_unflipped, turned_back=_unflipped
    )
    yield Variation("the reverse direction's y stays in the order it was computed in", problem=same, turned_back=_unflipped)
    yield Variation("the reverse direction's x is not reversed, its y is", problem=same, turned=_unflipped)
    yield Variation(
        "the reverse direction reverses all T steps, not each row's own",
        problem=same,
        turned=_plain_flip,
        turned_back=_plain_flip,
    )
    yield Variation("the reverse direction starts from the forward one's initial state", problem=state(True, True))
    yield Variation("the reverse direction starts from the forward one's h0", problem=state(True, False))
    yield Variation("the reverse direction starts from the forward one's c0", problem=state(False, True))

    def swapped(p: Problem) -> Problem:
        layers = p.weights.layers
        return p.with_weights(lambda w, l, d: layers[l][1 - d])

    yield Variation("the directions' weights are swapped", problem=both(swapped))
    yield Variation("the directions' initial states are swapped", problem=both(with_state(lambda h, c: (pairs(h), pairs(c)))))
    yield Variation("the reverse direction uses the forward one's weights", problem=from_other())
    for names, words in ((("b_ih", "b_hh"), "biases"), (("w_hh",), "U"), (("w_ih",), "W"), (("w_hr",), "W_hr")):
        yield Variation(f"the reverse direction uses the forward one's {words}", problem=from_other(*names))

    yield Variation("the reverse direction's biases are ignored", problem=both(all_weights(no_bias, (1,))))
    yield Variation("y is reverse | forward", problem=same, returned=halves(lambda a, b: [b, a]))
    yield Variation("in y the units of both directions alternate", problem=same, returned=with_y(alternating))
    yield Variation(
        "y holds the mean of both directions", problem=same, returned=halves(lambda a, b: [(a + b) / 2, (a + b) / 2])
    )
    for name in ("h_n", "c_n"):
        yield Variation(
            f"the directions are swapped in {name}",
            problem=same,
            returned=lambda p, t, name=name: t | {name: pairs(t[name])},  # type: ignore[misc]
        )

    def at_end(p: Problem, t: Tensors) -> Tensors:
        h_n = np.array(t["h_n"])
        h_n[-1] = t["y"][np.maximum(p.lengths - 1, 0), np.arange(p.batch), p.spec.state_size :]
        return t | {"h_n": h_n}

    yield Variation("the reverse direction's h_n is its y at the last step instead of the first", problem=same, returned=at_end)


def layers() -> Iterator[Variation]:
    """About stacks."""

    def stacked(change: Callable[[Problem], Problem | None]) -> Callable[[Problem], Problem | None]:
        return lambda p: change(p) if p.spec.num_layers > 1 else None

    def fitting(p: Problem) -> Problem | None:
        return p if p.spec.num_layers > 1 and p.spec.input_size == p.spec.output_size else None

    def per_layer(order: Callable[[Array, int, int], Array]) -> Callable[[Problem], Problem | None]:
        def changed(p: Problem) -> Problem:
            index = order(np.arange(p.spec.num_layers * p.spec.num_directions), p.spec.num_layers, p.spec.num_directions)
            state = p.inputs.state
            return p.with_inputs(state=LSTMState(state.h[index], state.c[index]))

        return stacked(changed)

    def start_zero(p: Problem) -> Problem:
        keep = (np.arange(p.spec.num_layers * p.spec.num_directions) < p.spec.num_directions)[:, None, None]
        state = p.inputs.state
        return p.with_inputs(state=LSTMState(state.h * keep.astype(state.h.dtype), state.c * keep.astype(state.c.dtype)))

    def shared(*names: str) -> Callable[[Problem], Problem | None]:
        def changed(p: Problem) -> Problem | None:
            layers = p.weights.layers
            source = {l: min(l, 1) for l in range(len(layers))} if "w_ih" in names else dict.fromkeys(range(len(layers)), 0)
            return p.with_weights(
                lambda w, l, d: replace(w, **{n: getattr(layers[source[l]][d], n) for n in names if getattr(w, n) is not None})
            )

        return stacked(changed)

    same = stacked(lambda p: p)
    yield Variation("upper layers read x instead of the layer below", problem=fitting, next_input=lambda x, below: x)
    yield Variation("upper layers start from the first layer's state", problem=per_layer(lambda k, L, D: k % D))
    yield Variation(
        "the initial states of the layers are in reverse order",
        problem=per_layer(lambda k, L, D: k.reshape(L, D)[::-1].ravel()),
    )
    yield Variation("states are indexed direction * L + layer", problem=per_layer(lambda k, L, D: k.reshape(D, L).T.ravel()))

    def moved(p: Problem, t: Tensors) -> Tensors:
        order = np.arange(len(t["h_n"])).reshape(p.spec.num_layers, -1).T.ravel()
        return t | {name: t[name][order] for name in ("h_n", "c_n")}

    yield Variation(
        "states are indexed direction * L + layer, those given and those returned",
        problem=per_layer(lambda k, L, D: k.reshape(D, L).T.ravel()),
        returned=moved,
    )
    yield Variation("upper layers start from 0", problem=stacked(start_zero))
    yield Variation("upper layers use the first one's U", problem=shared("w_hh"))
    yield Variation("upper layers use the first one's biases", problem=shared("b_ih", "b_hh"))
    yield Variation("upper layers use the first one's W_hr", problem=shared("w_hr"))
    yield Variation(
        "layers from the third on use the second one's weights",
        problem=shared("w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "peephole"),
    )
    yield Variation("upper layers ignore their biases", problem=stacked(all_weights(no_bias, upper=True)))
    yield Variation(
        "what goes from layer to layer is squashed by tanh", problem=same, next_input=lambda x, below: np.tanh(below)
    )
    yield Variation(
        "a layer reads what the one below gave a step before",
        problem=same,
        next_input=lambda x, below: np.concatenate([below[:1] * 0, below[:-1]]),
    )
    for name in ("h_n", "c_n"):

        def order(p: Problem, t: Tensors, index: Callable[[int], Any], names: tuple[str, ...]) -> Tensors:
            return t | {
                n: t[n].reshape(p.spec.num_layers, -1, *t[n].shape[1:])[index(p.spec.num_layers)].reshape(t[n].shape)
                for n in names
            }

        yield Variation(
            f"{name} of the top layer is returned for all",
            problem=same,
            returned=lambda p, t, n=name, f=order: f(p, t, lambda L: np.full(L, L - 1), (n,)),  # type: ignore[misc]
        )
        yield Variation(
            f"{name} of the first layer is returned for all",
            problem=same,
            returned=lambda p, t, n=name, f=order: f(p, t, lambda L: np.zeros(L, int), (n,)),  # type: ignore[misc]
        )
    yield Variation(
        "final states are returned from the top layer to the bottom",
        problem=same,
        returned=lambda p, t: order(p, t, lambda L: np.arange(L)[::-1], ("h_n", "c_n")),
    )
    yield Variation(
        "upper layers read reverse | forward",
        problem=both_ways_stacked,
        next_input=lambda x, below: np.concatenate(np.split(below, 2, axis=2)[::-1], axis=2),
    )
    yield Variation(
        "upper layers read 0 for the reverse half",
        problem=both_ways_stacked,
        next_input=lambda x, below: below * (np.arange(below.shape[2]) < below.shape[2] // 2),
    )


def both_ways_stacked(p: Problem) -> Problem | None:
    """The problem, if it has several layers and both directions."""
    return p if p.spec.num_layers > 1 and p.spec.bidirectional else None


def features() -> Iterator[Variation]:
    """About peepholes and projections."""

    def peephole(change: Callable[[Array], Array]) -> Callable[[Problem], Problem | None]:
        def one(w: DirectionWeights) -> DirectionWeights | None:
            return None if w.peephole is None else replace(w, peephole=change(w.peephole))

        return all_weights(one)

    def has_peephole(p: Problem) -> Problem | None:
        return p if p.spec.peephole else None

    def projected(p: Problem) -> Problem | None:
        return p if p.spec.proj_size else None

    def of_gates(*factors: int) -> Callable[[Problem], Problem | None]:
        return peephole(lambda a: a * np.array(factors, a.dtype)[:, None])

    yield Variation("the peepholes are ignored", problem=of_gates(0, 0, 0))
    yield Variation("the peepholes of i and f are swapped", problem=peephole(lambda a: a[[1, 0, 2]]))
    yield Variation("the peepholes are read in the order i, o, f, ONNX's", problem=peephole(lambda a: a[[0, 2, 1]]))
    yield Variation("the peepholes of i and o are swapped", problem=peephole(lambda a: a[[2, 1, 0]]))
    yield Variation("the memory of the peepholes is read as [H, 3]", problem=peephole(lambda a: a.reshape(-1, 3).T))
    yield Variation("the peephole of o sees the cell before the step", problem=has_peephole, peep=lambda before, now: before)
    yield Variation("the peephole of o sees tanh(c)", problem=has_peephole, peep=lambda before, now: np.tanh(now))
    for k, gate in enumerate("ifo"):
        yield Variation(f"the peephole of {gate} is ignored", problem=of_gates(*(int(n != k) for n in range(3))))
        yield Variation(f"the peephole of {gate} is subtracted", problem=of_gates(*(1 - 2 * (n == k) for n in range(3))))
    yield Variation("the first unit's peepholes serve all", problem=peephole(lambda a: a[:, :1].repeat(a.shape[1], 1)))

    def hr(w: DirectionWeights) -> Array:
        assert w.w_hr is not None
        return w.w_hr.T

    yield Variation(
        "the projection is ignored: h is the first P units",
        problem=projected,
        output=lambda w, o, c: (o * np.tanh(c))[:, : hr(w).shape[1]],
    )
    yield Variation("the projection comes before the tanh", problem=projected, output=lambda w, o, c: np.tanh((o * c) @ hr(w)))
    yield Variation(
        "tanh(c) is projected without the output gate", problem=projected, output=lambda w, o, c: np.tanh(c) @ hr(w)
    )
    yield Variation("o * c is projected, the tanh is missing", problem=projected, output=lambda w, o, c: (o * c) @ hr(w))
    yield Variation(
        "what was projected goes through a tanh", problem=projected, output=lambda w, o, c: np.tanh((o * np.tanh(c)) @ hr(w))
    )

    def read_again(w: DirectionWeights) -> DirectionWeights | None:
        return None if w.w_hr is None else replace(w, w_hr=w.w_hr.ravel().reshape(w.w_hr.shape[::-1]).T)

    yield Variation("the memory of W_hr is read as [H, P]", problem=all_weights(read_again))
