"""FILE or FILE#name -> the weights of one LSTM."""

from __future__ import annotations

from pathlib import Path

from ..interface import UnavailableError
from .contents import Contents, FoundLSTM, LoadedModel, RefusedError, WeightsFileError
from .kind import file_kind


def load_weights(file: str | Path) -> LoadedModel:
    """Load one LSTM: `FILE`, or `FILE#name` where the file has several. A text that exists as a file is the file.

    The kind of file is recognised by its content: safetensors, a checkpoint saved by torch (loaded with weights_only=True), or
    an ONNX model. Names are those of `list_lstms`. Raises WeightsFileError for a file or LSTM that cannot be used, and
    UnavailableError where the library that reads the file is not installed.
    """
    path, name = _split(str(file))
    contents = _contents(path)
    found = contents.lstms
    listed = ", ".join(f"{each.name} ({each.sizes})" for each in found)
    if not found:
        others = f" (it has {', '.join(contents.others)})" if contents.others else ""
        raise WeightsFileError(f"{path}: there is no LSTM in it{others}")
    if name is not None:
        chosen = [each for each in found if each.name == name] or [each for each in found if each.full_name == name]
        if len(chosen) != 1:
            raise WeightsFileError(f"{path}: no LSTM is called {name!r}; there is {listed}")
    elif len(found) > 1:
        raise WeightsFileError(f"{path}: {len(found)} LSTMs are in it, pick one with FILE#name: {listed}")
    else:
        chosen = found
    if chosen[0].weights is None:
        raise WeightsFileError(f"{path}: {chosen[0].name}: {chosen[0].refused}")
    return LoadedModel(chosen[0].name, path, chosen[0].weights)


def list_lstms(path: str | Path) -> list[FoundLSTM]:
    """Every LSTM of the file, in its order, those that are refused included. Raises as load_weights does for the file."""
    return _contents(Path(path)).lstms


def _contents(path: Path) -> Contents:
    try:
        if "\0" in str(path):
            raise RefusedError("is not a path: it contains a null character")
        if path.is_dir():
            raise RefusedError("is a directory, not a file")
        if path.exists() and not path.is_file():
            raise RefusedError("is not a regular file")
        return _read(path)
    except FileNotFoundError:
        raise WeightsFileError(f"{path}: no such file") from None
    except OSError as error:
        raise WeightsFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except RefusedError as reason:
        raise WeightsFileError(f"{path}: {reason}") from reason
    except UnavailableError as error:
        raise UnavailableError(f"{path}: {error.reason}", error.hint) from error


def _read(path: Path) -> Contents:
    kind = file_kind(path)
    if kind == "safetensors":
        from .safetensors_file import read_safetensors

        return read_safetensors(path)
    if kind == "torch":
        from .torch_checkpoint import read_torch

        return read_torch(path)
    from .onnx_model import read_onnx

    return read_onnx(path)


def _split(text: str) -> tuple[Path, str | None]:
    """The file and the name behind `#`; a path or a name may itself have a `#`, so the files that exist decide."""
    ends = [len(text)] + [k for k, letter in enumerate(text) if letter == "#"]
    end = next((k for k in ends if _exists(text[:k])), ends[1] if len(ends) > 1 else ends[0])
    return Path(text[:end]), text[end + 1 :] if end < len(text) else None


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):  # too long for a path
        return False
