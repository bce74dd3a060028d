"""The inputs of a cell's calls, a pure function of (seed, size of the ring, call, row): whoever knows the seed draws any row.

A worker does not know it, or a backend could find it there, and with it what will be asked and what will be checked, and do the
work before any clock runs. It is told a key for each set and turn, from which no other follows, and not before the last call
that is not timed is over.

A call must get inputs that it has not seen, and not one row of them: a row's result depends on nothing but the row, so whoever
keeps the results of rows that come again saves the work for them. Drawing all rows anew for each call would cost as much as
the call. So the sets of a ring take turns, and each time a set comes round again some of its rows, at least one, are drawn anew
(the next ones each time), and in all rows numbers change their signs. The distributions are symmetric: they stay what they are,
and flips never add up to rounding. What z = W x was with other signs helps nobody: as long as fewer patterns are known than x
has numbers a step, W times the new x is as much work as ever. Cells so small that their rows' signs could come up again by
chance are drawn anew as a whole.

Whoever checks a call later draws just the rows that are checked, as they were then.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from hashlib import sha256
from math import ceil, prod

import numpy as np

from lstm_parity.backends import LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array, LSTMSpec

from ..problems.values import Inputs, spread_inputs, spread_weights
from ..records import Cell

DRAWN_VALUES = 1024
"""At least about so many numbers are drawn anew for each turn: to draw fewer would save no time."""
SIGNS = 64
"""A row's pattern of signs has at least so many of them, and repeats itself over the steps of x after that."""


def secret_seed() -> int:
    """A seed that nobody can guess, and that any program can hold as a number."""
    return secrets.randbelow(2**53)


def call_key(seed: int, call: int) -> int:
    """What is new in the inputs of call number `call` is drawn from this."""
    return int.from_bytes(sha256(f"{seed} {call}".encode()).digest()[:16])


def draw_weights(spec: LSTMSpec, seed: int) -> LSTMWeights:
    """The cell's drawn weights."""
    return spread_weights(spec, np.random.default_rng([seed, 0]))


def _shapes(cell: Cell) -> list[tuple[int, int]]:
    """Of one row of each array, in the order of `_arrays`: steps or states, and width."""
    spec = cell.spec
    states = spec.num_layers * spec.num_directions
    shapes = [(cell.sequence_length, spec.input_size), (states, spec.state_size), (states, spec.hidden_size)]
    return [*shapes, (cell.sequence_length, spec.output_size), *shapes[1:]] if cell.training else shapes


def _rows_a_turn(cell: Cell) -> int:
    """How many rows of a set are drawn anew for each turn."""
    return min(cell.batch_size, ceil(DRAWN_VALUES / sum(steps * width for steps, width in _shapes(cell))))


def fresh_rows(cell: Cell, turn: int) -> Array:
    """The rows that are drawn anew for a set's given turn (turn >= 1): the next ones each time."""
    each, batch = _rows_a_turn(cell), cell.batch_size
    first = (turn - 1) % ceil(batch / each) * each
    return np.arange(first, min(first + each, batch))


def fresh_row(cell: Cell, turn: int) -> int:
    """One of the rows that are new in a set's given turn (turn >= 1): any of them, sooner or later."""
    rows = fresh_rows(cell, turn)
    return int(rows[(turn - 1) // ceil(cell.batch_size / _rows_a_turn(cell)) % len(rows)])


def _last_drawn(cell: Cell, row: int, turn: int) -> int:
    """The newest turn up to the given one for which the row was drawn anew."""
    each = _rows_a_turn(cell)
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
    """What flips the signs of each array of a set in a turn by exclusive or, [period, B, n] unsigned integers of its width.

    Nothing is flipped in turn 0, nor where every turn draws all rows anew.
    """
    if turn == 0 or _rows_a_turn(cell) == cell.batch_size:
        return []
    rng = np.random.default_rng([key, 3])
    unsigned = np.dtype(f"u{cell.spec.dtype.itemsize}")
    shapes = [(min(steps, ceil(SIGNS / width)), cell.batch_size, width) for steps, width in _shapes(cell)]
    counts = [prod(shape) for shape in shapes]
    bits = np.unpackbits(np.frombuffer(rng.bytes(ceil(sum(counts) / 8)), np.uint8), count=sum(counts))
    highest = bits.astype(unsigned) << unsigned.type(8 * unsigned.itemsize - 1)
    parts = np.split(highest, np.cumsum(counts)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _arrays(inputs: Inputs) -> Iterator[Array]:
    """Every floating-point array of a call's inputs, in the order of `_signs`; each has the batch as its second axis."""
    yield from (inputs.x, inputs.state.h, inputs.state.c)
    if inputs.grad_y is not None and inputs.grad_state is not None:
        yield from (inputs.grad_y, inputs.grad_state.h, inputs.grad_state.c)


def _like(inputs: Inputs, arrays: list[Array], lengths: Array | None) -> Inputs:
    """Inputs of the same kind with other arrays, which come in the order of `_arrays`."""
    x, h, c, *back = arrays
    if inputs.grad_y is None:
        return Inputs(x, LSTMState(h, c), lengths)
    return Inputs(x, LSTMState(h, c), lengths, back[0], LSTMState(back[1], back[2]))


def _flipped(array: Array, signs: Array) -> Array:
    """A new array: `array` [n, B, k] with the signs [period, B, k] applied over and over."""
    steps, period = len(array), len(signs)
    if period > 1:
        signs = signs[np.arange(steps) % period]
    found = np.bitwise_xor(array.view(signs.dtype).reshape(steps, -1), signs.reshape(len(signs), -1))
    return found.view(array.dtype).reshape(array.shape)


def _join(parts: list[Inputs]) -> Inputs:
    """One batch of several."""
    arrays = [np.concatenate(found, axis=1) for found in zip(*map(_arrays, parts), strict=True)]
    lengths = [part.lengths for part in parts if part.lengths is not None]
    return _like(parts[0], arrays, np.concatenate(lengths) if lengths else None)


def _row_of(inputs: Inputs, row: int) -> Inputs:
    """One row, as a batch of one."""
    part = slice(row, row + 1)
    arrays = [array[:, part] for array in _arrays(inputs)]
    return _like(inputs, arrays, None if inputs.lengths is None else inputs.lengths[part])


def draw_rows(cell: Cell, seed: int, size: int, call: int, rows: Array) -> Inputs:
    """The given rows of the inputs of call number `call`, with a ring of `size` sets: x [T, len(rows), I], and so on."""
    which, turn = call % size, call // size

    def key(turn: int) -> int:
        return call_key(seed, turn * size + which)

    drawn_for = [(int(row), _last_drawn(cell, int(row), turn)) for row in rows]
    fresh = {t: _draw_fresh(cell, key(t), t) for _, t in drawn_for if t > 0}
    parts = [
        _row_of(fresh[t], row - int(fresh_rows(cell, t)[0])) if t > 0 else _draw_first(cell, key(0), row)
        for row, t in drawn_for
    ]
    drawn = _join(parts)
    signs = _signs(cell, key(turn), turn)
    if not signs:
        return drawn
    arrays = [_flipped(array, sign[:, rows]) for array, sign in zip(_arrays(drawn), signs, strict=True)]
    return _like(drawn, arrays, drawn.lengths)


def draw_batch(cell: Cell, seed: int, size: int, call: int, rows: Array) -> Inputs:
    """The same as a whole batch, x [T, B, I] and so on: rows that are not asked for are 0."""

    def spread(part: Array, axis: int = 1) -> Array:
        whole = np.zeros((*part.shape[:axis], cell.batch_size, *part.shape[axis + 1 :]), part.dtype)
        np.moveaxis(whole, axis, 0)[rows] = np.moveaxis(part, axis, 0)
        return whole

    drawn = draw_rows(cell, seed, size, call, rows)
    lengths = None if drawn.lengths is None else spread(drawn.lengths, 0)
    return _like(drawn, [spread(array) for array in _arrays(drawn)], lengths)


class InputRing:
    """The input sets of one worker, held as host arrays; call k takes set k mod size, in its turn k // size.

    drawn: how many calls' inputs have been drawn; those of the last `size` of them are there. A set's next turn lies in new
    arrays, which nobody has been shown: a backend may keep those that it was given.
    """

    def __init__(self, cell: Cell, size: int) -> None:
        self._cell, self.size, self.drawn = cell, size, 0
        self._sets: list[Inputs] = []
        self._signs: list[list[Array]] = []

    def draw(self, key: int) -> None:
        """Draw the next call's inputs in place of those in its set, long before that call: no cache holds them then."""
        which, turn = self.drawn % self.size, self.drawn // self.size
        if turn == 0:
            self._sets.append(_join([_draw_first(self._cell, key, row) for row in range(self._cell.batch_size)]))
            self._signs.append([])
        else:
            self._next_turn(which, turn, key)
        self.drawn += 1

    def take(self, call: int) -> Inputs:
        """The inputs of call number `call`, one of the last `size` that were drawn. Arrays stay as they are."""
        assert self.drawn - self.size <= call < self.drawn, (call, self.drawn, self.size)
        return self._sets[call % self.size]

    def _next_turn(self, which: int, turn: int, key: int) -> None:
        old, rows, new = self._sets[which], fresh_rows(self._cell, turn), _draw_fresh(self._cell, key, turn)
        if len(rows) < self._cell.batch_size:
            signs, before = _signs(self._cell, key, turn), self._signs[which]
            changes = [s ^ b for s, b in zip(signs, before, strict=True)] if before else signs
            arrays = [_flipped(a, change) for a, change in zip(_arrays(old), changes, strict=True)]
            for target, source, sign in zip(arrays, _arrays(new), signs, strict=True):
                target[:, rows] = _flipped(source, sign[:, rows])
            lengths = None
            if old.lengths is not None and new.lengths is not None:
                lengths = old.lengths.copy()
                lengths[rows] = new.lengths
            new, self._signs[which] = _like(old, arrays, lengths), signs
        self._sets[which] = new
