"""The inputs of a cell's calls, a pure function of (seed, set, row, version): any process draws the same, any row alone.

A call must get inputs that it has not seen. Drawing all of them anew for each call would cost as much as the call, so the sets
of a ring take turns, and each time a set comes round again one of its rows is drawn anew (the next one each time). Whoever
checks a call later draws just the rows that are checked, in the version that they had then.
"""

from __future__ import annotations

import numpy as np

from backends import LSTMState, LSTMWeights
from backends.problem import Array, LSTMSpec

from ..values import Inputs, spread_inputs, spread_weights
from .cell import Cell


def draw_weights(spec: LSTMSpec, seed: int) -> LSTMWeights:
    """The cell's drawn weights."""
    return spread_weights(spec, np.random.default_rng([seed, 0]))


def _draw_row(cell: Cell, seed: int, which: int, row: int, version: int) -> Inputs:
    """One row, as a batch of one."""
    rng = np.random.default_rng([seed, 1, which, row, version])
    return spread_inputs(cell.spec, cell.sequence_length, 1, rng, ragged=cell.ragged, training=cell.training)


def _version(row: int, batch: int, turn: int) -> int:
    """How often a row had been drawn anew when its set had come round `turn` times: turn k draws row (k - 1) mod B anew."""
    return (turn - row - 1) // batch + 1 if turn > row else 0


def fresh_row(cell: Cell, turn: int) -> int:
    """The row that is new in a set's given turn (turn >= 1)."""
    return (turn - 1) % cell.batch_size


def draw_rows(cell: Cell, seed: int, which: int, turn: int, rows: Array) -> Inputs:
    """The given rows of a set, as they are in its given turn: x [T, len(rows), I], and so on."""
    parts = [_draw_row(cell, seed, which, int(r), _version(int(r), cell.batch_size, turn)) for r in rows]
    return _join(parts)


def draw_batch(cell: Cell, seed: int, which: int, turn: int, rows: Array) -> Inputs:
    """The same as a whole batch, x [T, B, I] and so on: rows that are not asked for are 0."""

    def spread(part: Array, axis: int = 1) -> Array:
        whole = np.zeros((*part.shape[:axis], cell.batch_size, *part.shape[axis + 1 :]), part.dtype)
        np.moveaxis(whole, axis, 0)[rows] = np.moveaxis(part, axis, 0)
        return whole

    drawn = draw_rows(cell, seed, which, turn, rows)
    back = drawn.grad_state
    return Inputs(
        x=spread(drawn.x),
        state=LSTMState(spread(drawn.state.h), spread(drawn.state.c)),
        lengths=None if drawn.lengths is None else spread(drawn.lengths, 0),
        grad_y=None if drawn.grad_y is None else spread(drawn.grad_y),
        grad_state=None if back is None else LSTMState(spread(back.h), spread(back.c)),
    )


def _join(parts: list[Inputs]) -> Inputs:
    def along_batch(arrays: list[Array]) -> Array:
        return np.concatenate(arrays, axis=1)

    def states(which: list[LSTMState]) -> LSTMState:
        return LSTMState(along_batch([s.h for s in which]), along_batch([s.c for s in which]))

    lengths = [p.lengths for p in parts if p.lengths is not None]
    grad_y = [p.grad_y for p in parts if p.grad_y is not None]
    grad_states = [p.grad_state for p in parts if p.grad_state is not None]
    return Inputs(
        x=along_batch([p.x for p in parts]),
        state=states([p.state for p in parts]),
        lengths=np.concatenate(lengths) if lengths else None,
        grad_y=along_batch(grad_y) if grad_y else None,
        grad_state=states(grad_states) if grad_states else None,
    )


class InputRing:
    """The input sets of one worker, held as host arrays; call k takes set k mod size, in its turn k // size."""

    def __init__(self, cell: Cell, seed: int, size: int) -> None:
        rows = np.arange(cell.batch_size)
        self._cell, self._seed, self.size = cell, seed, size
        self._sets = [draw_rows(cell, seed, which, 0, rows) for which in range(size)]
        self._turns = [0] * size

    def take(self, call: int) -> Inputs:
        """The inputs of call number `call`; calls come in order. Arrays stay as they are until `renew`."""
        return self._sets[call % self.size]

    def renew(self, call: int) -> None:
        """Make the set that `call` used ready for its next turn, by drawing one of its rows anew."""
        which = call % self.size
        self._turns[which] += 1
        row = fresh_row(self._cell, self._turns[which])
        new = _draw_row(self._cell, self._seed, which, row, _version(row, self._cell.batch_size, self._turns[which]))
        old = self._sets[which]
        for target, source in _pairs(old, new):
            target[:, row] = source[:, 0]
        if old.lengths is not None and new.lengths is not None:
            old.lengths[row] = new.lengths[0]


def _pairs(old: Inputs, new: Inputs) -> list[tuple[Array, Array]]:
    pairs = [(old.x, new.x), (old.state.h, new.state.h), (old.state.c, new.state.c)]
    if old.grad_y is not None and new.grad_y is not None and old.grad_state is not None and new.grad_state is not None:
        pairs += [(old.grad_y, new.grad_y), (old.grad_state.h, new.grad_state.h), (old.grad_state.c, new.grad_state.c)]
    return pairs
