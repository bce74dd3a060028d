"""A reverse direction that reads, starts or ends in the wrong place, or takes what is the forward one's."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_parity.backends.problem import Array

from ..changes import each_array, from_forward, halves, pairs_swapped, times
from ..fault import BIDIRECTIONAL, LENGTHS, Fault, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Run

direction = partial(fault, "direction", needs=BIDIRECTIONAL)
ragged = partial(fault, "direction", needs=BIDIRECTIONAL | LENGTHS)


def both_ways(change: Any) -> Any:
    """A method that gives change(...) of its arguments, and the arguments as they are where there is one direction."""
    return lambda lstm, *arguments: change(*arguments) if lstm.spec.bidirectional else arguments


def initial(name: str, sentence: str, change: Any, after: str = "") -> Fault:
    """Other initial states: change(h0, c0)."""
    return direction(name, sentence, states_used=both_ways(change), after=after)


def returned(name: str, sentence: str, change: Any) -> Fault:
    """Other results: change(y, h_n, c_n)."""
    return direction(name, sentence, returned=both_ways(change))


def forwards(a: Array) -> Array:
    """A state [2 L, B, n] with the forward direction's for both."""
    return a[np.arange(len(a)) // 2 * 2]


def not_turned(lstm: Any, x: Array, lengths: Array | None) -> Array:
    """x as it is."""
    return x


def turned(lstm: Any, x: Array, lengths: Array | None) -> Array:
    """x as it should be."""
    return CorrectLSTM.turned(lstm, x, lengths)


def hidden_at_the_end(lstm: Any, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """The last reverse direction's h_n read from y at each row's last step."""
    if not lstm.spec.bidirectional:
        return y, h, c
    h, ends = np.array(h), np.full(lstm.batch, lstm.steps) if lstm.lengths is None else lstm.lengths
    h[-1] = y[np.maximum(ends - 1, 0), np.arange(lstm.batch), lstm.spec.state_size :]
    return y, h, c


class RunsThroughPadding(CorrectLSTM):
    """The reverse direction starts at T."""

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        if p.direction == 0 or mask is None:
            return super().run_direction(p, x, h, c, mask, training)
        lengths = mask.sum(0)
        y, h_n, c_n, run = super().run_direction(p, super().turned(x, lengths)[::-1], h, c, None, training)
        return super().turned(y[::-1], lengths) * mask[:, :, None], h_n, c_n, run


class ContinuesForward(CorrectLSTM):
    """The reverse direction starts from the forward one's final cell."""

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        self.kept["c"] = c
        return y, h, c

    def initial_state(self, h: Array, c: Array, direction: int) -> tuple[Array, Array]:
        return h, self.kept["c"] if direction else c


FAULTS = (
    direction("reverse-reads-forward", "the reverse direction reads forward in time", turned=not_turned),
    direction(
        "reverse-not-turned-back",
        "the reverse direction's y stays in the order in which it was computed",
        turned_back=not_turned,
    ),
    direction(
        "reverse-input-not-turned", "the reverse direction's x is not reversed, its y is", turned=not_turned, turned_back=turned
    ),
    ragged(
        "reverse-starts-in-the-padding",
        "the reverse direction reverses all T steps, not each row's own",
        after="onnxruntime 4187",
        turned=lambda _, x, lengths: x[::-1],
    ),
    ragged(
        "reverse-runs-through-the-padding",
        "the reverse direction starts at T and reads zeros up to a row's last step",
        base=RunsThroughPadding,
    ),
    initial(
        "reverse-state-from-forward",
        "the reverse direction starts from the forward one's initial state",
        lambda h, c: (forwards(h), forwards(c)),
        after="pytorch 94754, 95118",
    ),
    initial(
        "reverse-hidden-from-forward", "the reverse direction starts from the forward one's h0", lambda h, c: (forwards(h), c)
    ),
    initial(
        "reverse-cell-from-forward", "the reverse direction starts from the forward one's c0", lambda h, c: (h, forwards(c))
    ),
    direction(
        "directions-weights-swapped",
        "the directions' weights are swapped",
        weights_used=lambda _, layers: [layer[::-1] for layer in layers],
    ),
    initial(
        "directions-states-swapped",
        "the directions' initial states are swapped",
        lambda h, c: (pairs_swapped(h), pairs_swapped(c)),
    ),
    direction(
        "reverse-weights-from-forward", "the reverse direction uses the forward one's weights", weights_used=from_forward()
    ),
    direction(
        "reverse-bias-from-forward",
        "the reverse direction uses the forward one's biases",
        weights_used=from_forward("b_ih", "b_hh"),
    ),
    direction(
        "reverse-recurrence-from-forward", "the reverse direction uses the forward one's U", weights_used=from_forward("w_hh")
    ),
    direction(
        "reverse-input-weights-from-forward",
        "the reverse direction uses the forward one's W",
        weights_used=from_forward("w_ih"),
    ),
    direction(
        "reverse-bias-missing",
        "the reverse direction's biases are ignored",
        weights_used=each_array(times(0), "b_ih", "b_hh", directions=(1,)),
    ),
    returned("reverse-first", "y is reverse | forward", lambda y, h, c: (halves(lambda a, b: [b, a])(y), h, c)),
    returned(
        "directions-alternate",
        "in y the units of both directions alternate",
        lambda y, h, c: (np.stack(np.split(y, 2, axis=2), axis=3).reshape(y.shape), h, c),
    ),
    returned(
        "directions-added",
        "both halves of y are the mean of the directions",
        lambda y, h, c: (halves(lambda a, b: [(a + b) / 2] * 2)(y), h, c),
    ),
    returned("directions-hidden-swapped", "the directions are swapped in h_n", lambda y, h, c: (y, pairs_swapped(h), c)),
    returned("directions-final-swapped", "the directions are swapped in c_n", lambda y, h, c: (y, h, pairs_swapped(c))),
    direction(
        "reverse-final-at-the-end",
        "the reverse direction's h_n is its y at the last step instead of the first",
        returned=hidden_at_the_end,
    ),
    direction("reverse-continues-forward", "the reverse direction starts from the forward one's c_n", base=ContinuesForward),
)
