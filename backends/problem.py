"""The data of an LSTM problem: weights, state, gradients, and the validation of inputs.

Gate order in every packed array is **i, f, g, o** (that of PyTorch and cuDNN): rows 0..H-1 of a [4H, n] matrix belong to
the input gate, the next H to the forget gate, then the candidate, then the output gate. Axis letters: see spec.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from . import packings
from .spec import STORAGE as STORAGE
from .spec import Array as Array
from .spec import LSTMSpec as LSTMSpec
from .spec import Precision as Precision

_STORED_PRECISIONS: tuple[Precision, ...] = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, eq=False)
class DirectionWeights:
    """Weights of one direction of one layer, in the storage dtype."""

    w_ih: Array
    """[4H, I] in the first layer, [4H, D*R] in those above."""
    w_hh: Array
    """[4H, R]."""
    b_ih: Array | None = None
    """[4H]; None where bias=False."""
    b_hh: Array | None = None
    """[4H]; None where bias=False."""
    w_hr: Array | None = None
    """[P, H]; None without projection."""
    peephole: Array | None = None
    """[3, H] in the order i, f, o; None without peepholes."""

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
    """All weights of an LSTM."""

    layers: tuple[tuple[DirectionWeights, ...], ...]
    """layers[l][d]: layer l, direction d (0 forward, 1 reverse)."""

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

    @property
    def storage_precision(self) -> Precision:
        """The precision whose storage dtype the weights have: float64, float32, float16 or bfloat16 (never tf32).

        Raises ValueError where they have several dtypes, or another one.
        """
        dtypes = {array.dtype for _, array in self.items()}
        for precision in _STORED_PRECISIONS:
            if dtypes == {STORAGE[precision]}:
                return precision
        raise ValueError(f"weights have dtype {', '.join(sorted(map(str, dtypes))) or 'none'}, expected one storage dtype")

    def widened(self) -> LSTMWeights:
        """The weights in one dtype: their own where they share one, else float64 if any is float64, else float32."""
        dtypes = {array.dtype for _, array in self.items()}
        if len(dtypes) == 1:
            return self
        return self.astype(np.float64 if np.dtype(np.float64) in dtypes else np.float32)

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
        """One layer, one direction, from one matrix a gate over the concatenation [a<t-1>, x<t>] (the lecture's form).

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
        """The inverse of from_gates: w_c, w_u, w_f, w_o [H, R + I], b_c, b_u, b_f, b_o [H], the two biases summed.

        Raises ValueError for weights with projection or peepholes, which this form does not have.
        """
        w = self.layers[layer][direction]
        if w.w_hr is not None or w.peephole is not None:
            raise ValueError("the form with one matrix a gate has neither projection nor peepholes")
        u, f, c, o = np.split(np.concatenate([w.w_hh, w.w_ih], axis=1), 4)
        bias = np.zeros(len(w.w_ih), w.w_ih.dtype) if w.b_ih is None or w.b_hh is None else w.b_ih + w.b_hh
        b_u, b_f, b_c, b_o = np.split(bias, 4)
        return c, u, f, o, b_c, b_u, b_f, b_o

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], prefix: str = "") -> LSTMWeights:
        """The weights of the nn.LSTM or nn.LSTMCell whose entries are called `prefix` + weight_ih_l0, ...

        Values keep their dtype. Raises ValueError, naming the entry: see packings.from_state_dict.
        """
        layers = packings.from_state_dict(state_dict, prefix)
        return cls(tuple(tuple(DirectionWeights(**arrays) for arrays in layer) for layer in layers))

    def to_state_dict(self, prefix: str = "") -> dict[str, Array]:
        """The weights under nn.LSTM's names, in nn.LSTM's order; arrays are shared, not copied.

        Raises ValueError for weights with peepholes, which nn.LSTM does not have, and for weights that do not fit together.
        """
        if self.infer_spec(self.storage_precision).peephole:
            raise ValueError("nn.LSTM has no peepholes, so a state dict cannot hold these weights")
        return packings.to_state_dict([[dict(d.items()) for d in layer] for layer in self.layers], prefix)

    @classmethod
    def from_onnx(cls, W: Any, R: Any, B: Any = None, P: Any = None) -> LSTMWeights:
        """One layer of D directions from the tensors of an ONNX LSTM node.

        W [D, 4H, I], R [D, 4H, H], B [D, 8H] or None, P [D, 3H] or None. Raises ValueError, naming the tensor and its shape:
        see packings.from_onnx.
        """
        return cls((tuple(DirectionWeights(**arrays) for arrays in packings.from_onnx(W, R, B, P)),))

    def to_onnx(self, layer: int = 0) -> tuple[Array, Array, Array | None, Array | None]:
        """One layer as the inputs W [D, 4H, I or D*H], R [D, 4H, H], B [D, 8H] or None and P [D, 3H] or None of an ONNX LSTM.

        Raises ValueError for weights with projection, which ONNX's LSTM does not have, or that do not fit together, and for a
        layer outside 0..L-1.
        """
        spec = self.infer_spec(self.storage_precision)
        if spec.proj_size:
            raise ValueError("ONNX's LSTM has no projection, so it cannot hold these weights")
        if not 0 <= layer < spec.num_layers:
            raise ValueError(f"layer must lie in 0..{spec.num_layers - 1}, not {layer}")
        return packings.to_onnx([dict(direction.items()) for direction in self.layers[layer]])


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
    """The state of all layers and directions; index = layer * D + direction."""

    h: Any
    """Hidden state [L*D, B, R]."""
    c: Any
    """Cell state [L*D, B, H]."""

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
    """Gradients of sum(y * grad_y) + sum(h_n * grad_h) + sum(c_n * grad_c), in the storage dtype."""

    x: Any
    """[T, B, I]."""
    h0: Any
    """[L*D, B, R]."""
    c0: Any
    """[L*D, B, H]."""
    weights: LSTMWeights
    """Shaped like the weights; its arrays may be device arrays."""


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
