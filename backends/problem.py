"""What an LSTM problem is made of: the specification, the weights, the state, the gradients.

Axis letters, here and in every docstring of the project:

    T  time steps            B  batch                 I  input size
    H  hidden size           P  projection size       R  width of the recurrent state: P, or H without projection
    L  layers                D  directions (1 or 2)

Gate order in every packed array is **i, f, g, o** (that of PyTorch and cuDNN): rows 0..H-1 of a [4H, n] matrix belong to
the input gate, the next H to the forget gate, then the candidate, then the output gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Precision = Literal["float64", "float32", "tf32", "float16", "bfloat16"]

STORAGE: Mapping[str, np.dtype[Any]] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "tf32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
"""Storage and interface dtype of each precision."""


@dataclass(frozen=True)
class LSTMSpec:
    """The mathematical shape of an LSTM and the precision it is computed in; hashable.

    precision: "float64"; "float32" (IEEE float32 throughout); "tf32" (float32 storage; operands of matrix products may be
    rounded to 10 bits); "float16" and "bfloat16" (storage and interface dtype; matrix products accumulate in float32).

    Raises ValueError, naming the field, for a size below 1, a proj_size outside 0..hidden_size-1, or an unknown precision;
    TypeError for a size that is not an integer or a flag that is not a bool.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    bias: bool = True
    peephole: bool = False
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, least in (("input_size", 1), ("hidden_size", 1), ("num_layers", 1), ("proj_size", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
            object.__setattr__(self, name, int(value))
        for name in ("bidirectional", "bias", "peephole"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, not {value!r}")
            object.__setattr__(self, name, bool(value))
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"proj_size must be below hidden_size ({self.hidden_size}), not {self.proj_size}; 0 means none")
        if self.precision not in STORAGE:
            raise ValueError(f"precision must be one of {', '.join(STORAGE)}, not {self.precision!r}")

    @property
    def num_directions(self) -> int:
        """D: 2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def state_size(self) -> int:
        """R: width of h, proj_size or, without projection, hidden_size."""
        return self.proj_size or self.hidden_size

    @property
    def output_size(self) -> int:
        """D*R: width of y."""
        return self.num_directions * self.state_size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Storage and interface dtype."""
        return STORAGE[self.precision]

    def layer_input_size(self, layer: int) -> int:
        """Width of what a layer reads: I for layer 0, D*R above."""
        return self.input_size if layer == 0 else self.output_size

    def weight_shapes(self, layer: int) -> dict[str, tuple[int, ...] | None]:
        """The shape of each field of a layer's DirectionWeights; None where the field must be None."""
        four_h, r = 4 * self.hidden_size, self.state_size
        return {
            "w_ih": (four_h, self.layer_input_size(layer)),
            "w_hh": (four_h, r),
            "b_ih": (four_h,) if self.bias else None,
            "b_hh": (four_h,) if self.bias else None,
            "w_hr": (self.proj_size, self.hidden_size) if self.proj_size else None,
            "peephole": (3, self.hidden_size) if self.peephole else None,
        }


@dataclass(frozen=True, eq=False)
class DirectionWeights:
    """Weights of one direction of one layer, in the storage dtype.

    w_ih [4H, I or D*R], w_hh [4H, R], b_ih [4H], b_hh [4H] (both None where bias=False), w_hr [P, H] (None without
    projection), peephole [3, H] in order i, f, o (None without peepholes).
    """

    w_ih: Array
    w_hh: Array
    b_ih: Array | None = None
    b_hh: Array | None = None
    w_hr: Array | None = None
    peephole: Array | None = None

    def items(self) -> Iterator[tuple[str, Array]]:
        """(field name, array) of every weight that is present."""
        for field in fields(self):
            array = getattr(self, field.name)
            if array is not None:
                yield field.name, array

    def astype(self, dtype: Any) -> DirectionWeights:
        """The same weights in another dtype; arrays that have it already are shared."""
        return DirectionWeights(**{name: np.asarray(a).astype(dtype, copy=False) for name, a in self.items()})


@dataclass(frozen=True, eq=False)
class LSTMWeights:
    """All weights of an LSTM: layers[l][d] is the DirectionWeights of layer l, direction d (0 forward, 1 reverse)."""

    layers: tuple[tuple[DirectionWeights, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(tuple(layer) for layer in self.layers))

    def items(self) -> Iterator[tuple[str, Array]]:
        """(path, array) of every weight that is present; the path reads like layers[0][1].w_hh."""
        for l, layer in enumerate(self.layers):
            for d, direction in enumerate(layer):
                for name, array in direction.items():
                    yield f"layers[{l}][{d}].{name}", array

    def astype(self, dtype: Any) -> LSTMWeights:
        """The same weights in another dtype; arrays that have it already are shared."""
        return LSTMWeights(tuple(tuple(d.astype(dtype) for d in layer) for layer in self.layers))

    def validate(self, spec: LSTMSpec) -> None:
        """Raise ValueError, naming the field with its shape and dtype, unless these are weights for `spec`."""
        if len(self.layers) != spec.num_layers:
            raise ValueError(f"weights have {len(self.layers)} layers, the spec says num_layers={spec.num_layers}")
        for l, layer in enumerate(self.layers):
            if len(layer) != spec.num_directions:
                raise ValueError(f"layers[{l}] has {len(layer)} directions, the spec says {spec.num_directions}")
            for d, direction in enumerate(layer):
                for name, shape in spec.weight_shapes(l).items():
                    _check_field(f"layers[{l}][{d}].{name}", getattr(direction, name), shape, spec.dtype)

    def infer_spec(self, precision: Precision = "float32") -> LSTMSpec:
        """The LSTMSpec that these weights fit. Raises ValueError, naming the field, where they do not fit together."""
        if not self.layers or not self.layers[0]:
            raise ValueError("weights have no layers")
        first = self.layers[0][0]
        if np.ndim(first.w_ih) != 2 or np.shape(first.w_ih)[0] % 4:
            raise ValueError(f"layers[0][0].w_ih has shape {np.shape(first.w_ih)}, expected [4H, I]")
        spec = LSTMSpec(
            input_size=first.w_ih.shape[1],
            hidden_size=first.w_ih.shape[0] // 4,
            num_layers=len(self.layers),
            bidirectional=len(self.layers[0]) == 2,
            proj_size=0 if first.w_hr is None else first.w_hr.shape[0],
            bias=first.b_ih is not None,
            peephole=first.peephole is not None,
            precision=precision,
        )
        with np.errstate(over="ignore"):  # only shapes are asked about
            self.astype(spec.dtype).validate(spec)
        return spec

    @classmethod
    def from_gates(
        cls, w_c: Array, w_u: Array, w_f: Array, w_o: Array, b_c: Array, b_u: Array, b_f: Array, b_o: Array
    ) -> LSTMWeights:
        """One layer, one direction, from the lecture's matrices, one a gate, over the concatenation [a<t-1>, x<t>].

        w_c, w_u, w_f, w_o [H, R + I]: candidate, update (input), forget, output; columns 0..R-1 act on a<t-1> (that is h'),
        the rest on x<t>; R = H. b_* [H] or [H, 1]. The result has b_hh = 0. Raises ValueError, naming the matrix.
        """
        matrices = {"w_u": np.asarray(w_u), "w_f": np.asarray(w_f), "w_c": np.asarray(w_c), "w_o": np.asarray(w_o)}
        biases = {"b_u": np.asarray(b_u), "b_f": np.asarray(b_f), "b_c": np.asarray(b_c), "b_o": np.asarray(b_o)}
        shape = matrices["w_u"].shape
        if len(shape) != 2 or shape[1] <= shape[0]:
            raise ValueError(f"w_u has shape {shape}, expected [H, H + I]")
        h = shape[0]
        for name, m in matrices.items():
            if m.shape != shape:
                raise ValueError(f"{name} has shape {m.shape}, expected {shape} like w_u")
        for name, b in biases.items():
            if b.shape not in ((h,), (h, 1)):
                raise ValueError(f"{name} has shape {b.shape}, expected ({h},) = [H]")
        packed = np.concatenate(list(matrices.values()))
        b_ih = np.concatenate([b.reshape(h) for b in biases.values()])
        return cls(((DirectionWeights(packed[:, h:].copy(), packed[:, :h].copy(), b_ih, np.zeros_like(b_ih)),),))

    def to_gates(self, layer: int = 0, direction: int = 0) -> tuple[Array, ...]:
        """The lecture's eight: w_c, w_u, w_f, w_o [H, R + I], b_c, b_u, b_f, b_o [H], the two biases summed.

        Raises ValueError for weights with projection or peepholes, which the lecture's form cannot say.
        """
        w = self.layers[layer][direction]
        if w.w_hr is not None or w.peephole is not None:
            raise ValueError("the lecture's per-gate form has neither projection nor peepholes")
        u, f, c, o = np.split(np.concatenate([w.w_hh, w.w_ih], axis=1), 4)
        bias = np.zeros(len(w.w_ih), w.w_ih.dtype) if w.b_ih is None or w.b_hh is None else w.b_ih + w.b_hh
        b_u, b_f, b_c, b_o = np.split(bias, 4)
        return c, u, f, o, b_c, b_u, b_f, b_o

    # conversions.py imports this module, so it is imported by name and only when it is asked for.
    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], prefix: str = "") -> LSTMWeights:
        """The weights of an nn.LSTM or nn.LSTMCell in a state dict: see conversions.from_state_dict."""
        weights: LSTMWeights = import_module("lstm_parity.backends.weights.conversions").from_state_dict(state_dict, prefix)
        return weights

    def to_state_dict(self, prefix: str = "") -> dict[str, Array]:
        """The weights under nn.LSTM's names: see conversions.to_state_dict."""
        state_dict: dict[str, Array] = import_module("lstm_parity.backends.weights.conversions").to_state_dict(self, prefix)
        return state_dict

    @classmethod
    def from_onnx(cls, W: Any, R: Any, B: Any = None, P: Any = None) -> LSTMWeights:
        """One layer from the tensors of an ONNX LSTM node, W [D, 4H, I], R [D, 4H, H], ...: see conversions.from_onnx."""
        weights: LSTMWeights = import_module("lstm_parity.backends.weights.conversions").from_onnx(W, R, B, P)
        return weights

    def to_onnx(self, layer: int = 0) -> tuple[Array, Array, Array | None, Array | None]:
        """One layer as the tensors W, R, B, P of an ONNX LSTM node: see conversions.to_onnx."""
        tensors: tuple[Array, Array, Array | None, Array | None] = import_module(
            "lstm_parity.backends.weights.conversions"
        ).to_onnx(self, layer)
        return tensors


def _check_field(path: str, array: Any, shape: tuple[int, ...] | None, dtype: np.dtype[Any]) -> None:
    if shape is None:
        if array is not None:
            raise ValueError(f"{path} has shape {np.shape(array)}, but the spec has none (expected None)")
    elif array is None:
        raise ValueError(f"{path} is None, expected shape {shape}")
    elif np.shape(array) != shape:
        raise ValueError(f"{path} has shape {np.shape(array)}, expected {shape}")
    elif np.asarray(array).dtype != dtype:
        raise ValueError(f"{path} has dtype {np.asarray(array).dtype}, expected {dtype}")


@dataclass(frozen=True, eq=False)
class LSTMState:
    """Hidden state h [L*D, B, R] and cell state c [L*D, B, H]; index = layer * D + direction."""

    h: Any
    c: Any

    @classmethod
    def zeros(cls, spec: LSTMSpec, batch_size: int) -> LSTMState:
        """The all-zero state, in the spec's storage dtype."""
        rows = spec.num_layers * spec.num_directions
        return cls(
            np.zeros((rows, batch_size, spec.state_size), spec.dtype),
            np.zeros((rows, batch_size, spec.hidden_size), spec.dtype),
        )


@dataclass(frozen=True, eq=False)
class LSTMGradients:
    """Gradients of sum(y * grad_y) + sum(h_n * grad_h) + sum(c_n * grad_c), in the storage dtype.

    x [T, B, I], h0 [L*D, B, R], c0 [L*D, B, H], weights: shaped like the weights (its arrays may be device arrays).
    """

    x: Any
    h0: Any
    c0: Any
    weights: LSTMWeights


def validate_inputs(spec: LSTMSpec, x: Array, state: LSTMState, lengths: Array | None = None, dtype: Any = None) -> None:
    """Raise ValueError, naming the argument with its shape and dtype, unless these are inputs for `spec`.

    x [T, B, I]; state.h [L*D, B, R]; state.c [L*D, B, H]; lengths int64 [B] on the host with values in 0..T, or None. dtype: of
    the arrays; the spec's storage dtype if None.
    """
    _check_array("x", x)
    if x.ndim != 3 or x.shape[2] != spec.input_size or min(x.shape[:2]) < 1:
        raise ValueError(f"x has shape {x.shape}, expected [T >= 1, B >= 1, I = {spec.input_size}]")
    t, b = x.shape[:2]
    dtype = spec.dtype if dtype is None else np.dtype(dtype)
    _check_input("x", x, x.shape, dtype)
    _check_state("state", spec, state, b, dtype)
    if lengths is not None:
        if not isinstance(lengths, np.ndarray) or lengths.dtype != np.int64 or lengths.shape != (b,):
            raise ValueError(f"lengths must be an int64 array of shape ({b},), not {lengths!r}")
        if lengths.min() < 0 or lengths.max() > t:
            raise ValueError(f"lengths must lie in 0..{t}, not {lengths.min()}..{lengths.max()}")


def validate_gradients(spec: LSTMSpec, steps: int, batch: int, grad_y: Array, grad_state: LSTMState, dtype: Any = None) -> None:
    """Raise ValueError, naming the argument with its shape and dtype, unless these are gradients of results of `spec`.

    grad_y [T, B, D*R]; grad_state shaped like the state. dtype: of the arrays; the spec's storage dtype if None.
    """
    dtype = spec.dtype if dtype is None else np.dtype(dtype)
    _check_input("grad_y", grad_y, (steps, batch, spec.output_size), dtype)
    _check_state("grad_state", spec, grad_state, batch, dtype)


def _check_state(name: str, spec: LSTMSpec, state: LSTMState, batch: int, dtype: np.dtype[Any]) -> None:
    rows = spec.num_layers * spec.num_directions
    _check_input(f"{name}.h", state.h, (rows, batch, spec.state_size), dtype)
    _check_input(f"{name}.c", state.c, (rows, batch, spec.hidden_size), dtype)


def _check_array(name: str, array: Array) -> None:
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        raise ValueError(f"{name} is a {type(array).__name__}, expected an array")


def _check_input(name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    _check_array(name, array)
    if tuple(array.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(array.shape)}, expected {shape}")
    if array.dtype != dtype:
        raise ValueError(f"{name} has dtype {array.dtype}, expected {dtype}")
