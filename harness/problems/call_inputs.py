"""The inputs of the calls of a sweep's cell: a pure function of (seed, number of sets, call, batch row).

The parent process has the seed and draws any row. A worker does not: a backend could find the seed there, and with it the
inputs of later calls and which of them are checked, and compute them before the clock starts. The worker is sent a key for each
call, after the last untimed call is over; no other key can be derived from it.

No batch row of a call may repeat: a row's result depends on the row alone, so a backend that caches results would skip the
work. Drawing all rows for each call would take as long as the call. So calls alternate between a few sets of inputs (a ring).
In each turn of a set some of its rows, at least one, are drawn again, the next ones each time, and numbers in all rows change
their signs. The distributions are symmetric, so they stay the same, and no rounding accumulates. A known W x for other signs
does not help: as long as fewer sign patterns are known than x has numbers a step, W times the new x is as much work. Cells so
small that sign patterns could recur by chance are drawn again as a whole.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from math import ceil, prod

import numpy as np

from lstm_parity.backends import LSTMWeights
from lstm_parity.backends.problem import Array, LSTMSpec

from ..records import Cell
from .rows import take_rows
from .values import Inputs, spread_inputs, spread_weights

MIN_DRAWN = 1024
"""About how many numbers are drawn for each turn at least: drawing fewer would save no time."""
MIN_SIGNS = 64
"""Minimum length of a row's pattern of signs, which repeats over the steps of x."""


def secret_seed() -> int:
    """A seed that cannot be guessed, and is exact as a float64."""
    return secrets.randbelow(2**53)


def call_key(seed: int, call: int) -> int:
    """The seed of the inputs of call number `call`."""
    return int.from_bytes(sha256(f"{seed} {call}".encode()).digest()[:16])


def draw_weights(spec: LSTMSpec, seed: int) -> LSTMWeights:
    """The cell's drawn weights."""
    return spread_weights(spec, np.random.default_rng([seed, 0]))


def _shapes(cell: Cell) -> list[tuple[int, int]]:
    """(steps or states, width) of one batch row of each array, in the order of Inputs.arrays."""
    spec = cell.spec
    states = spec.num_layers * spec.num_directions
    shapes = [(cell.sequence_length, spec.input_size), (states, spec.state_size), (states, spec.hidden_size)]
    return [*shapes, (cell.sequence_length, spec.output_size), *shapes[1:]] if cell.training else shapes


def _rows_per_turn(cell: Cell) -> int:
    """How many rows of a set are drawn for each turn."""
    return min(cell.batch_size, ceil(MIN_DRAWN / sum(steps * width for steps, width in _shapes(cell))))


def fresh_rows(cell: Cell, turn: int) -> Array:
    """The rows that are drawn for a turn of a set (turn >= 1): the next ones each time."""
    each, batch = _rows_per_turn(cell), cell.batch_size
    first = (turn - 1) % ceil(batch / each) * each
    return np.arange(first, min(first + each, batch))


def fresh_row(cell: Cell, turn: int) -> int:
    """One of the rows that are drawn for a turn of a set (turn >= 1); over the turns, each of them."""
    rows = fresh_rows(cell, turn)
    return int(rows[(turn - 1) // ceil(cell.batch_size / _rows_per_turn(cell)) % len(rows)])


def _last_drawn(cell: Cell, row: int, turn: int) -> int:
    """The last turn, up to the given one, for which the row was drawn."""
    each = _rows_per_turn(cell)
    group, groups = row // each, ceil(cell.batch_size / each)
    return 0 if turn <= group else turn - (turn - 1 - group) % groups


def _draw_first(cell: Cell, key: int, row: int) -> Inputs:
    """One row of a set in turn 0, as a batch of one."""
    return _draw(cell, [key, 1, row], 1)


def _draw_fresh(cell: Cell, key: int, turn: int) -> Inputs:
    """The fresh rows of a set in a turn (>= 1), without the turn's signs."""
    return _draw(cell, [key, 2], len(fresh_rows(cell, turn)))


def _draw(cell: Cell, seeds: list[int], count: int) -> Inputs:
    rng = np.random.default_rng(seeds)
    return spread_inputs(cell.spec, cell.sequence_length, count, rng, ragged=cell.ragged, training=cell.training)


def _signs(cell: Cell, key: int, turn: int) -> list[Array]:
    """Masks [period, B, n] that flip the signs of each array of a set by exclusive or: unsigned integers of its width.

    Empty in turn 0 and where every turn draws all rows.
    """
    if turn == 0 or _rows_per_turn(cell) == cell.batch_size:
        return []
    rng = np.random.default_rng([key, 3])
    unsigned = np.dtype(f"u{cell.spec.dtype.itemsize}")
    shapes = [(min(steps, ceil(MIN_SIGNS / width)), cell.batch_size, width) for steps, width in _shapes(cell)]
    counts = [prod(shape) for shape in shapes]
    bits = np.unpackbits(np.frombuffer(rng.bytes(ceil(sum(counts) / 8)), np.uint8), count=sum(counts))
    highest = bits.astype(unsigned) << unsigned.type(8 * unsigned.itemsize - 1)
    parts = np.split(highest, np.cumsum(counts)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _flipped(array: Array, signs: Array) -> Array:
    """A new array: `array` [n, B, k] with the masks [period, B, k] applied periodically."""
    steps, period = len(array), len(signs)
    if period > 1:
        signs = signs[np.arange(steps) % period]
    found = np.bitwise_xor(array.view(signs.dtype).reshape(steps, -1), signs.reshape(len(signs), -1))
    return found.view(array.dtype).reshape(array.shape)


def _join(parts: list[Inputs]) -> Inputs:
    """Several batches as one."""
    arrays = [np.concatenate(found, axis=1) for found in zip(*(part.arrays() for part in parts), strict=True)]
    lengths = [part.lengths for part in parts if part.lengths is not None]
    return parts[0].with_arrays(arrays, np.concatenate(lengths) if lengths else None)


def draw_rows(cell: Cell, seed: int, size: int, call: int, rows: Array) -> Inputs:
    """The given rows of the inputs of call number `call`, with a ring of `size` sets: x [T, len(rows), I], and so on."""
    which, turn = call % size, call // size

    def key(turn: int) -> int:
        return call_key(seed, turn * size + which)

    drawn_for = [(int(row), _last_drawn(cell, int(row), turn)) for row in rows]
    fresh = {t: _draw_fresh(cell, key(t), t) for _, t in drawn_for if t > 0}
    parts = [
        take_rows(fresh[t], np.array([row - fresh_rows(cell, t)[0]])) if t > 0 else _draw_first(cell, key(0), row)
        for row, t in drawn_for
    ]
    drawn = _join(parts)
    signs = _signs(cell, key(turn), turn)
    if not signs:
        return drawn
    arrays = [_flipped(array, sign[:, rows]) for array, sign in zip(drawn.arrays(), signs, strict=True)]
    return drawn.with_arrays(arrays, drawn.lengths)


def draw_batch(cell: Cell, seed: int, size: int, call: int, rows: Array) -> Inputs:
    """The same as a whole batch, x [T, B, I] and so on: all other rows are 0."""

    def spread(part: Array, axis: int = 1) -> Array:
        whole = np.zeros((*part.shape[:axis], cell.batch_size, *part.shape[axis + 1 :]), part.dtype)
        np.moveaxis(whole, axis, 0)[rows] = np.moveaxis(part, axis, 0)
        return whole

    drawn = draw_rows(cell, seed, size, call, rows)
    lengths = None if drawn.lengths is None else spread(drawn.lengths, 0)
    return drawn.with_arrays(map(spread, drawn.arrays()), lengths)


class InputRing:
    """The input sets of one worker as host arrays; call k uses set k mod size, in turn k // size.

    A set's next turn is in new arrays: a backend may keep those of the turn before.
    """

    def __init__(self, cell: Cell, size: int) -> None:
        self._cell, self.size = cell, size
        self.drawn = 0
        """Number of calls for which inputs have been drawn; those of the last `size` calls are available."""
        self._sets: list[Inputs] = []
        self._signs: list[list[Array]] = []

    def draw(self, key: int) -> None:
        """Draw the next call's inputs, which replace those in its set, long before that call, so that they leave the caches."""
        which, turn = self.drawn % self.size, self.drawn // self.size
        if turn == 0:
            self._sets.append(_join([_draw_first(self._cell, key, row) for row in range(self._cell.batch_size)]))
            self._signs.append([])
        else:
            self._next_turn(which, turn, key)
        self.drawn += 1

    def take(self, call: int) -> Inputs:
        """The inputs of call number `call`, one of the last `size` that were drawn; later calls do not change them."""
        assert self.drawn - self.size <= call < self.drawn, (call, self.drawn, self.size)
        return self._sets[call % self.size]

    def _next_turn(self, which: int, turn: int, key: int) -> None:
        old, rows, new = self._sets[which], fresh_rows(self._cell, turn), _draw_fresh(self._cell, key, turn)
        if len(rows) < self._cell.batch_size:
            signs, before = _signs(self._cell, key, turn), self._signs[which]
            changes = [s ^ b for s, b in zip(signs, before, strict=True)] if before else signs
            arrays = [_flipped(a, change) for a, change in zip(old.arrays(), changes, strict=True)]
            for target, source, sign in zip(arrays, new.arrays(), signs, strict=True):
                target[:, rows] = _flipped(source, sign[:, rows])
            lengths = None
            if old.lengths is not None and new.lengths is not None:
                lengths = old.lengths.copy()
                lengths[rows] = new.lengths
            new, self._signs[which] = old.with_arrays(arrays, lengths), signs
        self._sets[which] = new
