"""Tolerances for stacks, end-to-end results and gradients, by Monte Carlo arithmetic.

No bound follows rounding errors through many layers or through backpropagation without exploding, so their size is measured:
noise.py runs the float64 reference several times with random errors of the precision's size. The largest deviation from the
exact run, over a whole tensor, or over one row of it where rows are independent, is the tensor's envelope, and

    tolerance = FACTOR envelope + u_s max|tensor| + tiny sqrt(number of terms)

Not element by element: where an element's errors happen to cancel in all runs, its own envelope would be too small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMWeights
from lstm_parity.backends.problem import Array

from ..problems.rows import take_rows
from ..problems.values import Inputs
from .location import error_ratio
from .noise import ROW_AXIS, noisy_runs, run_once
from .results import project_all, projection_vectors
from .roundoff import ROUNDOFF

FACTOR = 4.0
"""How many times the envelope is allowed; the only empirical factor of the oracle.

Chosen from the largest factor that right implementations need, at most (error - u_s max|tensor|) / envelope, over 3,240 drawn
training problems (1 to 3 layers, H to 39, T to 79, both directions, projection, peepholes, ragged) in all precisions: 1.3 for
the backend numpy, 2.0 for torch-cpu, whose sums are ordered otherwise and which rounds more in 16 bits. Twice that is allowed.
"""

VALUES_PER_RUN = 1 << 26
"""Numbers that backpropagation may save at a time while the whole batch is run: 0.5 GB."""

NOISY_VALUES = 1 << 21
"""The same for one noisy run, in rows other than the checked ones."""


@dataclass(frozen=True, eq=False)
class Tolerance:
    """A tensor of the exact run, and the largest difference allowed to each element (broadcasts against it)."""

    reference: Array
    allowed: Array

    def ratios(self, got: Array) -> tuple[Array, float]:
        """error_ratio of each element, and the largest |got - reference|."""
        wide = got.astype(np.float64)
        ratio = error_ratio(wide, self.reference, self.allowed)
        with np.errstate(all="ignore"):
            error = np.abs(wide - self.reference)
        return ratio, float(np.where(np.isfinite(error), error, np.where(ratio > 0, np.inf, 0.0)).max(initial=0.0))


def measure(
    spec: LSTMSpec, weights: LSTMWeights, inputs: Inputs, rows: Array, activation_ulps: float, seed: int
) -> dict[str, Tolerance]:
    """Every tensor's tolerance: of those with rows for `rows` [r] alone, of the weights' gradients for the whole batch.

    The gradient of each weight is followed by its projection, "projected gradient of ...". With fewer rows than the batch, the
    exact gradients of the weights still sum over the whole batch, but where the batch is too large the noisy runs are on `rows`
    and as many others as NOISY_VALUES allows, the longest first. The rows' errors add up, at most linearly, so the envelope of
    these rows is scaled by the whole batch's valid steps over theirs: exact where all rows' errors have the same sign,
    sqrt(B / r) too wide where they are independent.
    """
    batch = inputs.x.shape[1]
    partial = inputs.grad_y is not None and len(rows) < batch
    noisy_rows = rows
    if partial:
        longest = np.arange(batch) if inputs.lengths is None else np.argsort(-inputs.lengths, kind="stable")
        cheap = max(1, NOISY_VALUES // _saved_values(spec, len(inputs.x)) - len(rows))
        noisy_rows = np.append(rows, longest[~np.isin(longest, rows)][:cheap])
    few = take_rows(inputs, noisy_rows)
    exact = _with_projections(run_once(spec, weights, few), seed)
    envelope: dict[str, Array] = {}
    with np.errstate(all="ignore"):
        for run in noisy_runs(spec, weights, few, activation_ulps, seed):
            for name, array in _with_projections(run, seed).items():
                deviation = _largest(name, array - exact[name])
                envelope[name] = np.maximum(envelope.get(name, deviation), deviation)
    scale = 1.0
    if len(noisy_rows) < batch and partial:
        exact |= _with_projections(_whole_batch(spec, weights, inputs), seed)
        lengths = np.ones(batch) if inputs.lengths is None else inputs.lengths
        scale = float(lengths.sum() / max(1, lengths[noisy_rows].sum()))

    kind = ROUNDOFF[spec.precision]
    tiny = kind.tiny * np.sqrt(inputs.x.shape[0] * batch)
    tolerances = {}
    for name, tensor in exact.items():
        if name in ROW_AXIS:
            of_rows = (slice(None), slice(len(rows)))
            kept = tensor[of_rows]
            size = _largest(name, kept)
            allowed = _widened(envelope[name][of_rows], size) + kind.storage * size + tiny
            tolerances[name] = Tolerance(kept, _zero_where_exact(name, kept, allowed, inputs.lengths, rows))
        elif not name.startswith("projected "):
            size = _largest(name, tensor)
            allowed = _widened(scale * envelope[name], size) + kind.storage * size + tiny
            tolerances[name] = Tolerance(tensor, allowed)
    gradients = [name for name in exact if name.startswith("gradient of layers")]
    vectors = projection_vectors([exact[name] for name in gradients], seed)
    for name, v in zip(gradients, vectors, strict=True):  # every element of a gradient is rounded before it is projected
        projected = f"projected {name}"
        rounding = kind.storage * (np.abs(exact[name]) @ np.abs(v)).max() + tiny * np.abs(v).sum()
        widened = _widened(scale * envelope[projected], _largest(projected, exact[projected]))
        tolerances[projected] = Tolerance(exact[projected], widened + rounding)
    return tolerances


def _widened(envelope: Array, size: Array) -> Array:
    """FACTOR times the envelope, and more where it exceeds the tensor itself: errors of that size do not add up linearly."""
    with np.errstate(all="ignore"):
        return np.where(envelope > size, FACTOR * envelope * (envelope / size), FACTOR * envelope)


def _zero_where_exact(name: str, tensor: Array, allowed: Array, lengths: Array | None, rows: Array) -> Array:
    """`allowed`, but 0 where no arithmetic happens: past a row's length, and in the states of a row of length 0."""
    if lengths is None:
        return allowed
    steps = np.arange(len(tensor)) if name in ("y", "gradient of x") else np.zeros(1)
    return np.where((steps[:, None] < lengths[rows])[..., None], allowed, 0.0)


def _with_projections(tensors: dict[str, Array], seed: int) -> dict[str, Array]:
    """The tensors, and the projection of each weight's gradient."""
    names = [name for name in tensors if name.startswith("gradient of layers")]
    projections = project_all([tensors[name] for name in names], seed)
    return tensors | {f"projected {name}": p for name, p in zip(names, projections, strict=True)}


def _largest(name: str, array: Array) -> Array:
    """The largest finite magnitude in each row, or in all: broadcasts against the tensor of that name."""
    axes = tuple(k for k in range(array.ndim) if k != ROW_AXIS.get(name))
    return np.asarray(np.where(np.isfinite(array), np.abs(array), 0.0).max(axis=axes, keepdims=True))


def _saved_values(spec: LSTMSpec, steps: int) -> int:
    """About how many numbers backpropagation saves for one row."""
    return 16 * spec.num_layers * spec.num_directions * steps * spec.hidden_size


def _whole_batch(spec: LSTMSpec, weights: LSTMWeights, inputs: Inputs) -> dict[str, Array]:
    """The weights' gradients of the exact run over all rows, a part of the batch at a time."""
    steps, batch = inputs.x.shape[:2]
    size = max(1, VALUES_PER_RUN // _saved_values(spec, steps))
    total: dict[str, Array] = {}
    for start in range(0, batch, size):
        part = run_once(spec, weights, take_rows(inputs, np.arange(start, min(start + size, batch))))
        for name, array in part.items():
            if name not in ROW_AXIS:
                total[name] = total[name] + array if name in total else array
    return total
