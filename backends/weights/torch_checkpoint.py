"""The tensors of a checkpoint saved by torch, in any nesting of dicts and lists. No pickled code is run."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from .contents import Contents, RefusedError, extra, foreign_reader
from .state_dicts import Tensor, find_lstms


def read_torch(path: Path) -> Contents:
    """Every LSTM of the checkpoint. Raises RefusedError for one that is damaged or needs more than weights_only=True allows.

    UnavailableError where the extra is missing.
    """
    with extra("torch", "a checkpoint saved by torch"):
        import torch
    with foreign_reader("cannot be read as a checkpoint saved by torch"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            checkpoint = torch.load(str(path), map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except UnpicklingError as error:
            raise RefusedError(_why_refused(path, str(error))) from error
    return find_lstms(_tensors(checkpoint, path.stat().st_size))


def _why_refused(path: Path, message: str) -> str:
    if b"_all_weight_values" in _pickle(path):
        return "holds a quantised LSTM or GRU of torch.ao.nn.quantized.dynamic, which is not read"
    needs = re.search(r"GLOBAL ([\w.]+)", message)
    if needs:
        return (
            f"torch cannot load it with weights_only=True because it needs {needs[1]}, and pickled code is not executed here; "
            "save only the weights: torch.save(model.state_dict(), FILE)"
        )
    detail = message.partition("WeightsUnpickler error:")[2].strip().splitlines()
    return f"cannot be read as a checkpoint saved by torch{': ' + detail[0] if detail else ''}"


def _pickle(path: Path) -> bytes:
    """The bytes in which a refused checkpoint names its entries; they are searched, never unpickled."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl"))


def _tensors(checkpoint: Any, file_size: int) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """(path, tensor) in the checkpoint's order; a container that is reached twice (shared, or part of itself) counts once."""
    import torch

    seen: set[int] = set()
    left: list[tuple[tuple[str, ...], Any]] = [((), checkpoint)]
    while left:
        path, value = left.pop()
        if isinstance(value, torch.Tensor):
            if not path:
                continue
            if value.numel() > file_size:  # strides of 0 can claim any size
                raise RefusedError(f"{'.'.join(path)} says it has shape {tuple(value.shape)}, more than the file holds")
            read = lambda value=value: value  # noqa: E731
            yield path, Tensor(tuple(value.shape), str(value.dtype).removeprefix("torch."), read)
        elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            inner = value.items() if isinstance(value, Mapping) else enumerate(value)
            left += [((*path, str(key)), each) for key, each in reversed(list(inner))]
