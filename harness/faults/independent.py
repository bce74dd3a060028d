"""Wrong LSTMs that are programs of their own: one row, one step, one gate at a time, as the lecture writes the equations.

They share nothing with the table's LSTM, so that a hint which names one of the table's faults for them is no tautology.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from lstm_parity.backends import Capabilities, DirectionWeights, LSTMBackend, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .fault import BIDIRECTIONAL, DEEP, LENGTHS, PEEPHOLE, PROJECTED, Mutant

INDEPENDENT: list[Mutant] = []
SAME_AS: dict[str, str] = {}
"""The fault of the table that each is an instance of, by the mutant's name."""

Class = TypeVar("Class", bound=type["RowByRow"])


class RowByRow(LSTMBackend):
    """A right LSTM, forward only."""

    packed = "ifgo"
    """The order in which it takes the gates to be packed."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        self.spec, self.weights = spec, weights
        self.real: Any = np.float64 if spec.precision == "float64" else np.float32

    def forward(
        self, x: Array, state: LSTMState, lengths: Array | None = None, training: bool = False
    ) -> tuple[Array, LSTMState]:
        """See LSTMBackend.forward."""
        steps, batch = x.shape[:2]
        h_n, c_n = np.array(state.h), np.array(state.c)
        below = np.array(x)
        for l, layer in enumerate(self.weights.layers):
            above = np.zeros((steps, batch, self.spec.output_size), self.spec.dtype)
            for d, w in enumerate(layer):
                k, columns = l * len(layer) + d, slice(d * self.spec.state_size, (d + 1) * self.spec.state_size)
                for row in range(batch):
                    last = self.last_step(steps, None if lengths is None else int(lengths[row]))
                    h, c = self.start(state.h, state.c, k, row)
                    for t in self.times(last, d):
                        h, c = self.step(w, below[t, row].astype(self.real), h, c)
                        above[t, row, columns] = h
                    h_n[k, row], c_n[k, row] = self.end(h, c)
            below = above
        return below, LSTMState(h_n, c_n)

    def last_step(self, steps: int, length: int | None) -> int:
        """After how many steps the row ends."""
        return steps if length is None else length

    def times(self, last: int, direction: int) -> Iterable[int]:
        """The steps in the order of the direction."""
        return range(last) if direction == 0 else range(last - 1, -1, -1)

    def start(self, h0: Array, c0: Array, k: int, row: int) -> tuple[Array, Array]:
        """a<0> [R], c<0> [H]."""
        return h0[k, row].astype(self.real), c0[k, row].astype(self.real)

    def end(self, h: Array, c: Array) -> tuple[Array, Array]:
        """What is returned as h_n [R] and c_n [H]."""
        return h, c

    def gate(self, w: DirectionWeights, name: str, x: Array, h: Array) -> Array:
        """W x + U h + b [H] of one gate."""
        rows = slice(*(np.array([0, 1]) + self.packed.index(name)) * self.spec.hidden_size)
        z = self.real(0) if w.b_ih is None or w.b_hh is None else self.added(w.b_ih[rows], w.b_hh[rows])
        return np.asarray(w.w_ih[rows].astype(self.real) @ x + self.recurrent(w.w_hh[rows]).astype(self.real) @ h + z)

    def added(self, b_ih: Array, b_hh: Array) -> Array:
        """The bias of one gate [H]."""
        return np.asarray(b_ih.astype(self.real) + b_hh.astype(self.real))

    def recurrent(self, u: Array) -> Array:
        """U [H, R] of one gate."""
        return u

    def step(self, w: DirectionWeights, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        """h [R], c [H] after a step."""
        z = {name: self.gate(w, name, x, h) for name in "ifgo"}
        p = np.zeros((3, 1), self.real) if w.peephole is None else self.peepholes(w.peephole.astype(self.real))
        i, f = self.squash(z["i"] + p[0] * c), self.squash(z["f"] + p[1] * c)
        new = self.cell(i, f, self.candidate(z["g"]), c)
        o = self.squash(z["o"] + p[2] * self.seen_by_output(c, new))
        a = self.output(o, new)
        if w.w_hr is not None:
            a = self.project(w.w_hr.astype(self.real), a.astype(self.spec.dtype).astype(self.real), o, new)
        return a.astype(self.spec.dtype).astype(self.real), new

    def peepholes(self, p: Array) -> Array:
        """The peepholes [3, H] of i, f, o."""
        return p

    def squash(self, z: Array) -> Array:
        """The sigmoid."""
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-z)))

    def candidate(self, z: Array) -> Array:
        """The candidate."""
        return np.tanh(z)

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        """c<t>."""
        return np.asarray(i * g + f * c)

    def seen_by_output(self, c: Array, new: Array) -> Array:
        """The cell that the output gate's peephole sees."""
        return new

    def output(self, o: Array, c: Array) -> Array:
        """a<t> before the projection."""
        return np.asarray(o * np.tanh(c))

    def project(self, w_hr: Array, a: Array, o: Array, c: Array) -> Array:
        """a<t> [P]."""
        return np.asarray(w_hr @ a)


def independent(same_as: str, **promises: Any) -> Callable[[Class], Class]:
    """Enter the class into INDEPENDENT, promising no more than its fault needs. same_as: the name of the table's fault."""

    def enter(cls: Class) -> Class:
        cls.capabilities = Capabilities(**promises)
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()
        assert cls.__doc__
        INDEPENDENT.append(Mutant(name, "independent", cls.__doc__.removesuffix("."), cls))
        SAME_AS[name] = same_as
        return cls

    return enter


@independent("input-and-forget-swapped")
class PlainUpdateForForget(RowByRow):
    """The rows of i are read as f, and those of f as i."""

    packed = "figo"


@independent("candidate-and-output-swapped-bfloat16", precisions=frozenset({"bfloat16"}))
class PlainOutputForCandidate(RowByRow):
    """In bfloat16, the rows of g are read as o, and those of o as g."""

    packed = "ifog"


@independent("onnx-gate-order")
class PlainOnnxWeights(RowByRow):
    """Weights are read as ONNX packs them."""

    packed = "iofg"


@independent("recurrent-bias-missing")
class PlainOneBias(RowByRow):
    """b_hh does not exist."""

    def added(self, b_ih: Array, b_hh: Array) -> Array:
        return b_ih.astype(self.real)


@independent("biases-missing")
class PlainNoBias(RowByRow):
    """There is no bias."""

    def added(self, b_ih: Array, b_hh: Array) -> Array:
        return np.zeros(len(b_ih), self.real)


@independent("recurrent-matrix-transposed")
class PlainTransposed(RowByRow):
    """U is multiplied from the other side."""

    def recurrent(self, u: Array) -> Array:
        return u.T


@independent("hidden-state-ignored")
class PlainFreshHidden(RowByRow):
    """A sequence starts with an activation of zeros."""

    def start(self, h0: Array, c0: Array, k: int, row: int) -> tuple[Array, Array]:
        return np.zeros(h0.shape[2], self.real), c0[k, row].astype(self.real)


@independent("states-ignored")
class PlainFresh(RowByRow):
    """A sequence starts with zeros."""

    def start(self, h0: Array, c0: Array, k: int, row: int) -> tuple[Array, Array]:
        return np.zeros(h0.shape[2], self.real), np.zeros(c0.shape[2], self.real)


@independent("first-rows-cell-for-all")
class PlainBroadcastCell(RowByRow):
    """The cell of one row serves the batch."""

    def start(self, h0: Array, c0: Array, k: int, row: int) -> tuple[Array, Array]:
        return h0[k, row].astype(self.real), c0[k, 0].astype(self.real)


@independent("final-cell-squashed")
class PlainSquashedCell(RowByRow):
    """c_n is returned as the output gate sees it."""

    def end(self, h: Array, c: Array) -> tuple[Array, Array]:
        return h, np.tanh(c)


@independent("final-states-swapped")
class PlainEndsSwapped(RowByRow):
    """(c, h) is returned for (h, c)."""

    def end(self, h: Array, c: Array) -> tuple[Array, Array]:
        return c, h


@independent("time-reversed")
class PlainBackwards(RowByRow):
    """The loop over the steps counts down."""

    def times(self, last: int, direction: int) -> Iterable[int]:
        return range(last - 1, -1, -1)


@independent("lengths-ignored", **LENGTHS)
class PlainFullRows(RowByRow):
    """Every row takes all steps."""

    def last_step(self, steps: int, length: int | None) -> int:
        return steps


@independent("reverse-reads-forward", **BIDIRECTIONAL)
class PlainForwardTwice(RowByRow):
    """Both directions run forward."""

    def times(self, last: int, direction: int) -> Iterable[int]:
        return range(last)


@independent("upper-state-from-first", **DEEP)
class PlainSharedStart(RowByRow):
    """All layers start from one state."""

    def start(self, h0: Array, c0: Array, k: int, row: int) -> tuple[Array, Array]:
        return super().start(h0, c0, 0, row)


@independent("input-and-forget-peepholes-swapped", **PEEPHOLE)
class PlainPeepholesSwapped(RowByRow):
    """Peepholes are packed f, i, o."""

    def peepholes(self, p: Array) -> Array:
        return np.stack([p[1], p[0], p[2]])


@independent("output-sees-old-cell", **PEEPHOLE)
class PlainEarlyPeephole(RowByRow):
    """All three peepholes see the same cell."""

    def seen_by_output(self, c: Array, new: Array) -> Array:
        return c


@independent("projection-before-tanh", **PROJECTED)
class PlainLateTanh(RowByRow):
    """The projected cell is squashed."""

    def project(self, w_hr: Array, a: Array, o: Array, c: Array) -> Array:
        return np.asarray(np.tanh(w_hr @ (o * c)))


@independent("hard-sigmoid")
class PlainHardSigmoid(RowByRow):
    """Gates are max(0, min(1, (2 z + 5) / 10))."""

    def squash(self, z: Array) -> Array:
        return np.asarray(np.maximum(0, np.minimum(1, (2 * z + 5) / 10)))


@independent("candidate-by-sigmoid")
class PlainFourSigmoids(RowByRow):
    """All four are gates."""

    def candidate(self, z: Array) -> Array:
        return self.squash(z)


@independent("coupled-gates")
class PlainCoupled(RowByRow):
    """What is forgotten is replaced, no more and no less."""

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        return np.asarray(g + f * (c - g))


@independent("cell-not-squashed")
class PlainLinearOutput(RowByRow):
    """The output is the gated cell."""

    def output(self, o: Array, c: Array) -> Array:
        return o * c
