"""What a backend returned, and whether it has the form that the contract requires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMGradients, LSTMSpec, LSTMWeights
from lstm_parity.backends.problem import Array

from ..problems.values import Inputs


@dataclass(frozen=True, eq=False)
class Results:
    """What a backend returned, as host arrays; of the r checked rows, where only some are checked."""

    y: Array
    """[T, r, D*R]."""
    h_n: Array
    """[L*D, r, R]."""
    c_n: Array
    """[L*D, r, H]."""
    gradients: LSTMGradients | None = None
    """None for inference; else x [T, r, I], h0 and c0 of the checked rows, and weights over the whole batch."""
    projections: list[Array] | None = None
    """`project` of the weights' gradients, instead of gradients.weights, which is then not read."""

    def tensors(self) -> dict[str, Array]:
        """The arrays by name, without checking their form."""
        tensors = {"y": self.y, "h_n": self.h_n, "c_n": self.c_n}
        return tensors if self.gradients is None else tensors | gradient_tensors(self.gradients)


class FormError(ValueError):
    """Results of the wrong form. The message says in one line what was returned and what was expected."""


def expected_shapes(spec: LSTMSpec, weights: LSTMWeights, inputs: Inputs) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor by name, in the order y, h_n, c_n, gradients."""
    h_shape, c_shape = inputs.state.h.shape, inputs.state.c.shape
    shapes: dict[str, tuple[int, ...]] = {"y": (*inputs.x.shape[:2], spec.output_size), "h_n": h_shape, "c_n": c_shape}
    if inputs.grad_y is None:
        return shapes
    shapes |= {"gradient of x": inputs.x.shape, "gradient of h0": h_shape, "gradient of c0": c_shape}
    return shapes | {f"gradient of {path}": array.shape for path, array in weights.items()}


def named_tensors(spec: LSTMSpec, weights: LSTMWeights, inputs: Inputs, results: Results) -> dict[str, Array]:
    """The results by name, in the order y, h_n, c_n, gradients. inputs: those of the checked rows.

    Raises FormError for an array that is missing, not a plain NumPy array, of the wrong shape or dtype, or unexpected.
    """
    shapes = expected_shapes(spec, weights, inputs)
    tensors: dict[str, Any] = {"y": results.y, "h_n": results.h_n, "c_n": results.c_n}
    dtypes: dict[str, np.dtype[Any]] = {}
    if inputs.grad_y is None and results.gradients is not None:
        raise FormError("gradients are there, expected None: the problem is not a training step")
    if inputs.grad_y is not None:
        if results.gradients is None:
            raise FormError("gradients are missing, expected LSTMGradients: the problem is a training step")
        if results.projections is None:
            tensors |= gradient_tensors(results.gradients)
        else:
            tensors |= gradient_tensors(replace(results.gradients, weights=LSTMWeights(())))
            names = [f"gradient of {path}" for path, _ in weights.items()]
            if len(results.projections) != len(names):
                raise FormError(f"there are {len(results.projections)} projected gradients, expected {len(names)}")
            for name, array in zip(names, results.projections, strict=True):
                projected, shape = f"projected {name}", shapes.pop(name)
                tensors[projected], dtypes[projected] = array, np.dtype(np.float64)
                shapes[projected] = shape[:1] if len(shape) > 1 else (1,)
    for name, shape in shapes.items():
        _check(name, tensors.get(name), shape, dtypes.get(name, spec.dtype))
    if extra := tensors.keys() - shapes.keys():
        raise FormError(f"{min(extra)} is there, expected None: the spec has no such weight")
    return tensors


def _check(name: str, array: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    expected = f"expected a NumPy array of dtype {dtype} and shape {shape}"
    if type(array) is not np.ndarray:  # a subclass may compute its values when it is read
        raise FormError(f"{name} is {'missing' if array is None else 'a ' + type(array).__name__}, {expected}")
    if array.dtype != dtype:
        raise FormError(f"{name} has dtype {array.dtype}, {expected}")
    if array.shape != shape:
        raise FormError(f"{name} has shape {array.shape}, {expected}")


def gradient_tensors(gradients: LSTMGradients) -> dict[str, Array]:
    """The gradients by name, those of the weights in the order of LSTMWeights.items()."""
    tensors = {"gradient of x": gradients.x, "gradient of h0": gradients.h0, "gradient of c0": gradients.c0}
    return tensors | {f"gradient of {path}": array for path, array in gradients.weights.items()}


def project(gradients: LSTMWeights, seed: int) -> list[Array]:
    """Each weight's gradient times a vector drawn from the seed, N(0, 1), in float64, in the order of LSTMWeights.items().

    A matrix [m, n] gives [m], a vector [n] gives [1].
    """
    return project_all([array for _, array in gradients.items()], seed)


def project_all(arrays: list[Array], seed: int) -> list[Array]:
    """Each array times a vector drawn from the seed, N(0, 1), in float64: [m, n] gives [m], [n] gives [1]."""
    vectors = projection_vectors(arrays, seed)
    return [np.atleast_1d(np.asarray(a).astype(np.float64) @ v) for a, v in zip(arrays, vectors, strict=True)]


def projection_vectors(arrays: list[Array], seed: int) -> list[Array]:
    """The vectors [n] that `project_all` multiplies arrays [..., n] by."""
    rng = np.random.default_rng([seed, 2])
    return [np.asarray(rng.standard_normal(np.shape(a)[-1:])) for a in arrays]
