"""The packings of PyTorch and ONNX, to and from this project's, as plain arrays by field of DirectionWeights.

    PyTorch   names weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_hr_l0, then `_reverse` for the second direction
              and l1, l2 ... for the layers above (`nn.LSTMCell`: weight_ih, weight_hh, bias_ih, bias_hh); gates i, f, g, o
    ONNX      one layer a node: W [D, 4H, I], R [D, 4H, H], B [D, 8H], P [D, 3H]; gates i, o, f, c and peepholes i, o, f

ONNX's orders are converted here and nowhere else. Sources: the documentation of `torch.nn.LSTM` and of ONNX's operator LSTM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from .spec import STORAGE, Array, LSTMSpec

Fields = dict[str, Array]
"""The arrays of one direction by their field in DirectionWeights; a field that is None there is missing here."""

STATE_DICT_NAMES: Mapping[str, str] = {
    "w_ih": "weight_ih",
    "w_hh": "weight_hh",
    "b_ih": "bias_ih",
    "b_hh": "bias_hh",
    "w_hr": "weight_hr",
}
"""The first part of a weight's name in a state dict, by its field in DirectionWeights."""

STATE_DICT_ENTRY = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?:_l(\d{1,4})(_reverse)?)?")
"""What nn.LSTM and nn.LSTMCell call a weight; the groups are the kind, the layer and the direction."""

_FROM_ONNX_GATES = (0, 2, 3, 1)  # i, o, f, c -> i, f, c, o
_TO_ONNX_GATES = (0, 3, 1, 2)
_PEEPHOLES = (0, 2, 1)  # i, o, f <-> i, f, o: its own inverse


def host_array(name: str, value: Any) -> Array:
    """A fresh NumPy array of a storage dtype with the values of anything that numpy.asarray takes, or of a CPU tensor of torch.

    Raises ValueError, with the name, for what is no array of float64, float32, float16 or bfloat16.
    """
    try:
        if str(getattr(value, "dtype", "")) == "torch.bfloat16":  # NumPy has no such dtype, so torch hands over the bits
            import torch

            array = value.detach().contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        else:
            array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be read as an array: {_first_line(error)}") from error
    if array.dtype not in STORAGE.values():
        raise ValueError(f"{name} has dtype {array.dtype}, expected float64, float32, float16 or bfloat16")
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def recurrent_kind(w_hh: tuple[int, ...], w_hr: tuple[int, ...] | None = None) -> str:
    """Which recurrent cell has weight_hh [rows, R] (and weight_hr [P, H]) of these shapes: "LSTM", "GRU", "RNN" or "".

    They share their names and differ in rows for each hidden unit: 4, 3 and 1. "" where the shapes fit none.
    """
    if len(w_hh) != 2 or (w_hr is not None and len(w_hr) != 2):
        return ""
    rows, hidden = w_hh[0], w_hh[1] if w_hr is None else w_hr[1]
    kinds = {4: "LSTM"} if w_hr is not None else {4: "LSTM", 3: "GRU", 1: "RNN"}
    return kinds.get(rows // hidden, "") if hidden and rows % hidden == 0 else ""


def from_state_dict(state_dict: Mapping[str, Any], prefix: str = "") -> list[list[Fields]]:
    """[layer][direction] of the nn.LSTM or nn.LSTMCell whose entries are called `prefix` + weight_ih_l0, ...

    Other entries are ignored.

    Shapes as in `nn.LSTM`: weight_ih [4H, I or D*R], weight_hh [4H, R], bias_ih [4H], bias_hh [4H], weight_hr [P, H]. Values
    are copied and keep their dtype; they may be NumPy arrays, CPU tensors or anything that numpy.asarray takes. A dot is added
    to a prefix that does not end in one. Raises ValueError, naming the entry, for one that is missing, ill-shaped or no float.
    """
    prefix = _with_dot(prefix)
    found: dict[str, Array] = {}
    for key, value in state_dict.items():
        if key.startswith(prefix) and STATE_DICT_ENTRY.fullmatch(key[len(prefix) :]):
            found[key[len(prefix) :]] = host_array(key, value)
    cell = "weight_ih" in found or "weight_hh" in found
    if cell:
        if any("_l" in name for name in found):
            raise ValueError(f"{prefix}weight_ih of an nn.LSTMCell and {prefix}weight_ih_l0 of an nn.LSTM share one prefix")
    elif not found:
        there = sorted({key[: -len("weight_hh_l0")] for key in state_dict if key.endswith("weight_hh_l0")})
        has = f"; there is one at prefix {', '.join(map(repr, there))}" if there else ""
        raise ValueError(f"no {prefix}weight_ih_l0 in the state dict{has}")
    spec = _state_dict_spec(found, prefix, cell)
    return [
        [
            {
                field: _entry(found, prefix, STATE_DICT_NAMES[field] + suffix, shape)
                for field, shape in spec.weight_shapes(l).items()
                if shape is not None
            }
            for suffix in _suffixes(l, spec.num_directions, cell)
        ]
        for l in range(spec.num_layers)
    ]


def _state_dict_spec(found: Mapping[str, Array], prefix: str, cell: bool) -> LSTMSpec:
    """The sizes that the entries say; what contradicts them is found when they are read."""
    first = "" if cell else "_l0"
    w_ih, w_hh = _entry(found, prefix, "weight_ih" + first), _entry(found, prefix, "weight_hh" + first)
    w_hr = found.get("weight_hr" + first)
    kind = recurrent_kind(w_hh.shape, None if w_hr is None else w_hr.shape)
    if kind in ("GRU", "RNN"):
        name = f"{prefix}weight_hh{first}"
        raise ValueError(f"{name} has shape {w_hh.shape}, that of a {kind}: an LSTM has four rows for each hidden unit")
    for name, array in (("weight_ih", w_ih), ("weight_hh", w_hh), ("weight_hr", w_hr)):
        if array is not None and (array.ndim != 2 or 0 in array.shape):
            raise ValueError(f"{prefix}{name}{first} has shape {array.shape}, expected a matrix that is not empty")
    if w_ih.shape[0] % 4:
        raise ValueError(f"{prefix}weight_ih{first} has shape {w_ih.shape}, expected [4H, I]")
    if w_hr is not None and 4 * w_hr.shape[0] >= w_ih.shape[0]:
        h = w_ih.shape[0] // 4
        raise ValueError(f"{prefix}weight_hr{first} has shape {w_hr.shape}, expected [P, H] with H = {h} and P below it")
    layers = {int(match[2] or 0) for match in map(STATE_DICT_ENTRY.fullmatch, found) if match}
    return LSTMSpec(
        input_size=w_ih.shape[1],
        hidden_size=w_ih.shape[0] // 4,
        num_layers=max(layers) + 1,
        bidirectional=any(name.endswith("_reverse") for name in found),
        proj_size=0 if w_hr is None else w_hr.shape[0],
        bias=any(name.startswith("bias") for name in found),
    )


def _entry(found: Mapping[str, Array], prefix: str, name: str, shape: tuple[int, ...] | None = None) -> Array:
    if name not in found:
        raise ValueError(f"{prefix}{name} is missing" + (f", expected shape {shape}" if shape else ""))
    if shape is not None and found[name].shape != shape:
        raise ValueError(f"{prefix}{name} has shape {found[name].shape}, expected {shape}")
    return found[name]


def to_state_dict(layers: Sequence[Sequence[Fields]], prefix: str = "") -> Fields:
    """[layer][direction] under the names of nn.LSTM, in nn.LSTM's order; arrays are shared, not copied."""
    return {
        _with_dot(prefix) + STATE_DICT_NAMES[field] + suffix: array
        for l, layer in enumerate(layers)
        for direction, suffix in zip(layer, _suffixes(l, len(layer)), strict=True)
        for field, array in direction.items()
    }


def _suffixes(layer: int, directions: int, cell: bool = False) -> Iterator[str]:
    yield from ("",) if cell else (f"_l{layer}{reverse}" for reverse in ("", "_reverse")[:directions])


def _with_dot(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith(".") else prefix + "."


def from_onnx(W: Any, R: Any, B: Any = None, P: Any = None) -> list[Fields]:
    """The D directions of an ONNX LSTM node.

    W [D, 4H, I], R [D, 4H, H], gates i, o, f, c; B [D, 8H], input biases then recurrent ones, or None for bias=False;
    P [D, 3H], peepholes i, o, f, or None. D = 1 is a forward node and D = 2 a bidirectional one: a node of direction
    "reverse" has no LSTMSpec, and its weights must not be given here. Raises ValueError, naming the tensor and its shape.
    """
    w, r = host_array("W", W), host_array("R", R)
    if w.ndim != 3 or w.shape[0] not in (1, 2) or 0 in w.shape or w.shape[1] % 4:
        raise ValueError(f"W has shape {w.shape}, expected [D, 4H, I] with D = 1 or 2")
    d, h = w.shape[0], w.shape[1] // 4
    b = None if B is None else host_array("B", B)
    p = None if P is None else host_array("P", P)
    for name, array, shape in (("R", r, (d, 4 * h, h)), ("B", b, (d, 8 * h)), ("P", p, (d, 3 * h))):
        if array is not None and array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape} beside W of shape {w.shape}")
    return [_direction_from_onnx(h, k, w, r, b, p) for k in range(d)]


def _direction_from_onnx(h: int, k: int, w: Array, r: Array, b: Array | None, p: Array | None) -> Fields:
    fields = {"w_ih": _reordered(w[k], _FROM_ONNX_GATES), "w_hh": _reordered(r[k], _FROM_ONNX_GATES)}
    if b is not None:
        fields["b_ih"] = _reordered(b[k, : 4 * h], _FROM_ONNX_GATES)
        fields["b_hh"] = _reordered(b[k, 4 * h :], _FROM_ONNX_GATES)
    if p is not None:
        fields["peephole"] = _reordered(p[k], _PEEPHOLES).reshape(3, h)
    return fields


def to_onnx(directions: Sequence[Fields]) -> tuple[Array, Array, Array | None, Array | None]:
    """W [D, 4H, n], R [D, 4H, H], B [D, 8H] or None, P [D, 3H] or None of an ONNX LSTM node with these directions."""
    w = np.stack([_reordered(d["w_ih"], _TO_ONNX_GATES) for d in directions])
    r = np.stack([_reordered(d["w_hh"], _TO_ONNX_GATES) for d in directions])
    b = p = None
    if "b_ih" in directions[0]:
        b = np.stack([np.concatenate([_reordered(d[name], _TO_ONNX_GATES) for name in ("b_ih", "b_hh")]) for d in directions])
    if "peephole" in directions[0]:
        p = np.stack([d["peephole"][list(_PEEPHOLES)].reshape(-1) for d in directions])
    return w, r, b, p


def _reordered(packed: Array, order: tuple[int, ...]) -> Array:
    """The equal blocks along the first axis in another order, as a fresh array."""
    blocks = np.split(packed, len(order))
    return np.concatenate([blocks[k] for k in order])


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
