"""Finds LSTMs among named tensors: the entries of a checkpoint, nested in any way.

An entry's path is the keys of the containers around it and then its own key; the key's last part is nn.LSTM's or
nn.LSTMCell's name of the weight, what comes before it is the module.

Naming: an LSTM is named after its module (`encoder.rnn` for {"state_dict": {"encoder.rnn.weight_ih_l0": ...}}); one that is
itself the whole dict is named after the dict's key, or `lstm` where there is none. Keys of enclosing containers are prefixed
only where two LSTMs would share a name. The full name, with all of them, selects it as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..packings import host_array, recurrent_kind
from ..problem import Array, LSTMWeights
from .contents import Contents, FoundLSTM, RefusedError, check_finite, unused_name

# module, plain name, and the suffix of a reparametrised or quantised module: weight_hh_l0_raw, weight_ih_l0.absmax
_KEY = re.compile(r"(?:(.*)\.)?((?:weight|bias)_(?:ih|hh|hr)(?:_l\d{1,4}(?:_reverse)?)?)([._].*)?", re.DOTALL)
_FLOATS = {"float64", "float32", "float16", "bfloat16", "f64", "f32", "f16", "bf16"}


@dataclass(frozen=True)
class Tensor:
    """An entry of a checkpoint."""

    shape: tuple[int, ...]
    dtype: str
    """The file's own name of the dtype, in lower case."""
    read: Callable[[], Any]
    """Returns something that packings.host_array accepts."""


@dataclass
class _Module:
    """The entries of one module."""

    around: tuple[str, ...]
    """Keys of the enclosing containers."""
    module: str
    plain: dict[str, Tensor] = field(default_factory=dict)
    """By nn.LSTM's name."""
    transformed: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    """Entries stored in another form, by (plain name, rest of the key)."""

    @property
    def path(self) -> tuple[str, ...]:
        return (*self.around, self.module) if self.module else self.around

    def shape(self, name: str) -> tuple[int, ...] | None:
        tensor = self.plain.get(name + "_l0", self.plain.get(name))
        return tensor.shape if tensor else None


def find_lstms(entries: Iterable[tuple[tuple[str, ...], Tensor]]) -> Contents:
    """Every nn.LSTM and nn.LSTMCell among the entries (path, tensor); GRUs and plain RNNs are distinguished by their shapes."""
    modules = _modules(entries)
    _join_weight_drop(modules)
    contents = Contents()
    lstms: list[_Module] = []
    for module in modules.values():
        kind = recurrent_kind(module.shape("weight_hh") or (), module.shape("weight_hr"))
        if kind in ("GRU", "RNN"):
            contents.others.append(f"{kind} {'.'.join(module.path) or 'at the top'}")
        else:
            lstms.append(module)
    names = _names([module.path or ("lstm",) for module in lstms], [len(module.around) for module in lstms])
    taken: set[str] = set()
    for module, short in zip(lstms, names, strict=True):
        name = unused_name(short, taken)
        full_name = ".".join(module.path)
        try:
            contents.lstms.append(FoundLSTM(name, _weights(module), full_name=full_name))
        except (RefusedError, ValueError) as reason:
            contents.lstms.append(FoundLSTM(name, None, str(reason), full_name))
    return contents


def _modules(entries: Iterable[tuple[tuple[str, ...], Tensor]]) -> dict[tuple[str, ...], _Module]:
    modules: dict[tuple[str, ...], _Module] = {}
    for (*around, key), tensor in entries:
        match = _KEY.fullmatch(key)
        if not match:
            continue
        name, rest = match[2], match[3] or ""
        owner = (match[1] or "").removesuffix("parametrizations").removesuffix(".")
        module = modules.setdefault((*around, "", owner), _Module(tuple(around), owner))
        if rest or owner != (match[1] or ""):
            module.transformed[name, rest] = tensor
        else:
            module.plain[name] = tensor
    return modules


def _join_weight_drop(modules: dict[tuple[str, ...], _Module]) -> None:
    """Weight drop keeps the true weight_hh_l0 as weight_hh_l0_raw, in the LSTM or in a wrapper whose `module` is the LSTM.

    An entry with the plain name is then the copy of the last training step, in which some weights are dropped.
    """
    for key, wrapper in list(modules.items()):
        raw = {name: tensor for (name, rest), tensor in wrapper.transformed.items() if rest == "_raw"}
        lstm = wrapper if wrapper.plain else modules.get((*key[:-1], f"{key[-1]}.module".removeprefix(".")))
        if raw and lstm:
            lstm.plain.update(raw)
            wrapper.transformed = {k: tensor for k, tensor in wrapper.transformed.items() if k[1] != "_raw"}
            if not wrapper.plain and not wrapper.transformed:
                del modules[key]


def _weights(module: _Module) -> LSTMWeights:
    prefix = module.module + "." if module.module else ""
    for (name, rest), tensor in module.transformed.items():
        raise RefusedError(
            f"{prefix}{name} is not stored plainly but as {name}{rest} ({tensor.dtype}), as quantisation, weight_norm, "
            "pruning and other parametrizations do; save the plain weights"
        )
    arrays: dict[str, Array] = {}
    for name, tensor in module.plain.items():
        if tensor.dtype not in _FLOATS:
            raise RefusedError(f"{prefix}{name} is stored as {tensor.dtype}: a quantised LSTM, which is not read")
        arrays[prefix + name] = host_array(prefix + name, tensor.read())
        check_finite(prefix + name, arrays[prefix + name])
    return LSTMWeights.from_state_dict(arrays, prefix).widened()


def _names(paths: list[tuple[str, ...]], around: list[int]) -> list[str]:
    """The shortest names: as many containers in front as tell each from every other."""
    kept = [min(number, len(path) - 1) for path, number in zip(paths, around, strict=True)]
    while True:
        names = [".".join(path[k:]) for path, k in zip(paths, kept, strict=True)]
        clashing = [k > 0 and names.count(name) > 1 for k, name in zip(kept, names, strict=True)]
        if not any(clashing):
            return names
        kept = [k - clash for k, clash in zip(kept, clashing, strict=True)]
