"""Suspects about what comes in: the initial state, the order of the steps, lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lstm_parity.backends.problem import Array

from ....problems.problem import Problem
from ..variation import Tensors, Variation
from .changes import with_state, with_x, with_y


def state() -> Iterator[Variation]:
    """About the initial state."""

    for words, change in (
        ("h0 is zero", lambda h, c: (h * 0, c)),
        ("c0 is zero", lambda h, c: (h, c * 0)),
        ("h0 and c0 are zero", lambda h, c: (h * 0, c * 0)),
        ("h0 and c0 are swapped", lambda h, c: (c, h) if h.shape == c.shape else None),
        ("the cell starts from h0, too", lambda h, c: (h, h) if h.shape == c.shape else None),
        ("all rows start from the first row's h0", lambda h, c: (h[:, :1].repeat(h.shape[1], 1), c)),
        ("all rows start from the first row's c0", lambda h, c: (h, c[:, :1].repeat(h.shape[1], 1))),
        (
            "all rows start from the first row's state",
            lambda h, c: (h[:, :1].repeat(h.shape[1], 1), c[:, :1].repeat(h.shape[1], 1)),
        ),
        ("the rows of h0 are reversed", lambda h, c: (h[:, ::-1], c)),
        ("the rows of c0 are reversed", lambda h, c: (h, c[:, ::-1])),
        ("the memory of h0 is read as [H, B]", lambda h, c: (_rows_as_columns(h), c)),
        ("the memory of c0 is read as [H, B]", lambda h, c: (h, _rows_as_columns(c))),
        ("c0 goes through tanh on its way in", lambda h, c: (h, np.tanh(c.astype(np.float64)))),
        ("c0 is clipped to -1..1", lambda h, c: (h, np.clip(c.astype(np.float64), -1, 1))),
    ):
        yield Variation(words, problem=with_state(change))


def _rows_as_columns(a: Array) -> Array:
    return np.stack([np.ascontiguousarray(s).reshape(s.shape[::-1]).T for s in a])


def _batch_first(x: Array) -> Array:
    return np.ascontiguousarray(x).reshape(x.shape[1], x.shape[0], -1).swapaxes(0, 1)


def _written_batch_first(y: Array) -> Array:
    return np.ascontiguousarray(y.swapaxes(0, 1)).reshape(y.shape)


def time() -> Iterator[Variation]:
    """About the order of the steps and the layout of x and y."""

    def later(p: Problem) -> Problem | None:
        return p.with_inputs(x=p.inputs.x[1:]) if p.steps > 1 and p.inputs.lengths is None else None

    def flipped(p: Problem, t: Tensors) -> Tensors:
        return t | {"y": t["y"][::-1]}

    yield Variation("time runs backwards", problem=with_x(lambda x: x[::-1]), returned=flipped)
    yield Variation("x is read backwards in time", problem=with_x(lambda x: x[::-1]))
    yield Variation("y is returned backwards in time", returned=flipped)
    yield Variation("x is read as [B, T, I]", problem=with_x(_batch_first))
    yield Variation("y is written as [B, T, H]", returned=with_y(_written_batch_first))
    yield Variation(
        "x is read and y is written with the batch first", problem=with_x(_batch_first), returned=with_y(_written_batch_first)
    )
    yield Variation("step t reads x of the step before", problem=with_x(lambda x: np.concatenate([x[:1], x[:-1]])))
    yield Variation("step t reads x of the step after", problem=with_x(lambda x: np.concatenate([x[1:], x[-1:]])))
    yield Variation("every step reads the first x", problem=with_x(lambda x: x[:1].repeat(len(x), 0)))
    yield Variation("y is the last h at every step", returned=with_y(lambda y: y[-1:].repeat(len(y), 0)))

    def before(p: Problem, t: Tensors) -> Tensors:
        h0 = np.asarray(p.inputs.state.h[-1:], np.float64)
        return t | {"y": np.concatenate([h0, t["y"][:-1]])} if not p.spec.bidirectional else t

    yield Variation("y[t] is h of the step before", returned=before)

    def stopped(p: Problem) -> Problem | None:
        return p.with_inputs(lengths=np.full(p.batch, p.steps - 1)) if p.steps > 1 and p.inputs.lengths is None else None

    yield Variation("the last step is left out", problem=stopped)
    yield Variation("the last step is left out, and y stays what it was there", problem=stopped, masks="hc")

    def held(p: Problem, t: Tensors) -> Tensors:
        return t | {"y": np.concatenate([t["y"][:1] * 0, t["y"]])}

    yield Variation("the first step is left out", problem=later, returned=held)


def lengths() -> Iterator[Variation]:
    """About rows of different lengths."""

    def with_lengths(change: Callable[[Array, int], Array | None]) -> Callable[[Problem], Problem | None]:
        def changed(p: Problem) -> Problem | None:
            return None if p.inputs.lengths is None else p.with_inputs(lengths=change(p.inputs.lengths, p.steps))

        return changed

    def given(p: Problem) -> Problem | None:
        return None if p.inputs.lengths is None else p

    def masked(p: Problem, t: Tensors) -> Tensors:
        assert p.inputs.lengths is not None
        past = np.arange(p.steps)[:, None] >= p.inputs.lengths
        return t | {"y": np.where(past[..., None], 0.0, t["y"])}

    yield Variation("lengths are ignored: all rows run to T", problem=with_lengths(lambda n, T: None))
    yield Variation(
        "lengths are ignored but in y: the state of all rows runs on to T",
        problem=with_lengths(lambda n, T: None),
        returned=masked,
    )
    yield Variation(
        "the batch runs to its longest row's end",
        problem=with_lengths(lambda n, T: np.full_like(n, n.max())),
        returned=masked,
    )
    yield Variation("the first row's length holds for all", problem=with_lengths(lambda n, T: np.full_like(n, n[0])))
    yield Variation("lengths are sorted and the rows are not", problem=with_lengths(lambda n, T: -np.sort(-n)))
    yield Variation("each row ends a step early", problem=with_lengths(lambda n, T: np.maximum(n - 1, np.minimum(n, 1))))
    yield Variation("each row ends a step late", problem=with_lengths(lambda n, T: np.where(n > 0, np.minimum(n + 1, T), 0)))
    yield Variation("a row of length 0 gets one step", problem=with_lengths(lambda n, T: np.maximum(n, 1)))
    yield Variation("a length of 0 is taken for T", problem=with_lengths(lambda n, T: np.where(n == 0, T, n)))
    yield Variation("equal lengths are taken for T", problem=with_lengths(lambda n, T: None if (n == n[0]).all() else n))
    for words, masks in (
        ("y past a row's length is not 0 but goes on", "hc"),
        ("h runs on past a row's length", "yc"),
        ("c runs on past a row's length", "yh"),
        ("h and c run on past a row's length", "y"),
    ):
        yield Variation(words, problem=given, masks=masks)

    def last_y(p: Problem, t: Tensors) -> Tensors:
        r = p.spec.state_size
        h_n = np.array(t["h_n"])
        ends = (t["y"][-1, :, :r], t["y"][0, :, r:])
        h_n[-p.spec.num_directions :] = ends[: p.spec.num_directions]
        return t | {"h_n": h_n}

    def repeated(p: Problem, t: Tensors) -> Tensors:
        ends = np.maximum(p.lengths - 1, 0)
        past = (np.arange(p.steps)[:, None] >= p.lengths)[..., None]
        return t | {"y": np.where(past, t["y"][ends, np.arange(p.batch)], t["y"])}

    def emptied(p: Problem, t: Tensors) -> Tensors:
        alive = (p.lengths > 0)[:, None]
        return t | {"h_n": t["h_n"] * alive, "c_n": t["c_n"] * alive}

    def forgotten(p: Problem, t: Tensors) -> Tensors:
        alive = (p.lengths == p.steps)[:, None]
        return t | {"h_n": t["h_n"] * alive, "c_n": t["c_n"] * alive}

    yield Variation("h_n is y at step T - 1, whatever the row's length", problem=given, returned=last_y)
    yield Variation("y past a row's length repeats its last value", problem=given, returned=repeated)
    yield Variation("a row of length 0 returns a state of 0 instead of its initial one", problem=given, returned=emptied)
    yield Variation("the state of a row that ends before T is set to 0", problem=given, returned=forgotten)
