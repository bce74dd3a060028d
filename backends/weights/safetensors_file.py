"""The tensors of a safetensors file; only those of LSTMs are read."""

from __future__ import annotations

from pathlib import Path

from .contents import Contents, extra, foreign_reader
from .state_dicts import Tensor, find_lstms


def read_safetensors(path: Path) -> Contents:
    """Every LSTM of the file. Raises RefusedError for a damaged one, UnavailableError where the extra is missing."""
    with extra("safetensors", "a safetensors file"):
        from safetensors import safe_open
    with foreign_reader("cannot be read as a safetensors file"), safe_open(str(path), framework="numpy") as file:
        entries = []
        for key in file.keys():  # noqa: SIM118  an open file of safetensors is no mapping
            slice_ = file.get_slice(key)
            read = lambda key=key: file.get_tensor(key)  # noqa: E731
            entries.append(((key,), Tensor(tuple(slice_.get_shape()), slice_.get_dtype().lower(), read)))
        return find_lstms(entries)
