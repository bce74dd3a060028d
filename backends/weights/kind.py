"""The kind of a model file, recognised by its content and never by its suffix."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Literal

from .contents import RefusedError

Kind = Literal["safetensors", "torch", "onnx"]

# Field number -> wire type of ModelProto in onnx.proto: 0 is a varint, 2 a length followed by that many bytes.
_MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_IR_VERSION, _GRAPH = 1, 7
_MAX_HEADER_BYTES = 100_000_000  # safetensors refuses a longer header


def file_kind(path: Path) -> Kind:
    """The kind of a regular file. Raises RefusedError for a file that is empty or of another kind; OSError."""
    size = path.stat().st_size
    if size == 0:
        raise RefusedError("the file is empty")
    with path.open("rb") as file:
        head = file.read(9)
        if head[:4] == b"PK\x03\x04":
            return _zip_kind(path)
        if head[8:] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_HEADER_BYTES:
            return "safetensors"
        if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            return "torch"  # a pickle: what torch wrote before its zip archives
        file.seek(0)
        if _looks_like_onnx(file, size):
            return "onnx"
    raise RefusedError("is neither a safetensors file, nor a checkpoint saved by torch, nor an ONNX model")


def _zip_kind(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, UnicodeDecodeError):
        raise RefusedError("is a damaged zip archive (a checkpoint saved by torch, cut short?)") from None
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        raise RefusedError(
            "is a TorchScript archive, which contains code, and code from a file is never run; "
            "save its weights alone: torch.save(torch.jit.load(FILE).state_dict(), NEW)"
        )
    if "data.pkl" not in inner:
        raise RefusedError("is a zip archive but no checkpoint saved by torch (it has no data.pkl)")
    return "torch"


def _looks_like_onnx(file: IO[bytes], size: int) -> bool:
    """Whether the bytes read as a ModelProto with a graph; its end may be cut off where an ir_version came before."""
    seen = set()
    while file.tell() < size:
        tag = _varint(file)
        if tag is None or _MODEL_FIELDS.get(tag >> 3) != tag & 7:
            break
        seen.add(tag >> 3)
        value = _varint(file)
        if value is None:
            break
        if tag & 7 == 2:
            if value > size - file.tell():
                break
            file.seek(value, 1)
    else:
        return _GRAPH in seen
    return {_IR_VERSION, _GRAPH} <= seen


def _varint(file: IO[bytes]) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
