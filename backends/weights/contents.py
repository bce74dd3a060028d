"""The LSTMs found in a model file, the one that is loaded, and the errors of reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..interface import UnavailableError
from ..problem import STORAGE, Array, LSTMSpec, LSTMWeights, Precision


class WeightsFileError(ValueError):
    """A file from which no LSTM weights can be read; the message is one line: which file, what is wrong, how to fix it."""

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))  # names in a damaged file may hold anything


class RefusedError(ValueError):
    """Why one LSTM of a file is refused: the text that follows "FILE: NAME: "."""


@dataclass(frozen=True, eq=False)
class FoundLSTM:
    """One LSTM of a file."""

    name: str
    """What `FILE#name` selects it by."""
    weights: LSTMWeights | None = field(repr=False)
    """In the dtype of the file; None where the LSTM cannot be used, and `refused` says why."""
    refused: str = ""
    full_name: str = ""
    """The name with the keys of all enclosing containers; `FILE#full_name` selects it, too."""

    @property
    def sizes(self) -> str:
        """Sizes in the axis letters, such as "I=40 H=256 L=3 D=1 float32", or "refused"."""
        if self.weights is None:
            return "refused"
        spec = self.weights.infer_spec(self.weights.storage_precision)
        parts = [f"I={spec.input_size} H={spec.hidden_size} L={spec.num_layers} D={spec.num_directions}"]
        parts += [f"P={spec.proj_size}"] * bool(spec.proj_size) + ["no bias"] * (not spec.bias) + ["peepholes"] * spec.peephole
        return " ".join([*parts, spec.precision])


@dataclass(frozen=True)
class Contents:
    """Everything recurrent in a file."""

    lstms: list[FoundLSTM] = field(default_factory=list)
    """In the file's order."""
    others: list[str] = field(default_factory=list)
    """Recurrent cells other than LSTMs, such as "GRU decoder"."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """The weights of one LSTM of a file."""

    name: str
    """Its name in the file."""
    path: Path
    weights: LSTMWeights = field(repr=False)
    """In the dtype of the file (bfloat16: ml_dtypes)."""

    @property
    def precision(self) -> Precision:
        """The precision in which the file stores the weights: float64, float32, float16 or bfloat16."""
        return self.weights.storage_precision

    def spec(self, precision: Precision) -> LSTMSpec:
        """The spec of the LSTM in the file, to be computed in `precision`."""
        return replace(self.weights.infer_spec(self.precision), precision=precision)

    def weights_for(self, precision: Precision) -> LSTMWeights:
        """The weights in the storage dtype of `precision`, rounded to nearest.

        Raises WeightsFileError, naming the field, where a weight is too large for that dtype and would become infinite.
        """
        with np.errstate(over="ignore", under="ignore"):
            cast = self.weights.astype(STORAGE[precision])
        for field_name, array in cast.items():
            if not np.isfinite(array).all():
                raise WeightsFileError(f"{self.path}: {self.name}: {field_name} has values too large for {precision}")
        return cast


def unused_name(name: str, taken: set[str]) -> str:
    """The name, or the name with :2, :3 ... where it is taken already; adds what it returns to `taken`."""
    number, unused = 1, name
    while unused in taken:
        number += 1
        unused = f"{name}:{number}"
    taken.add(unused)
    return unused


def check_finite(name: str, array: Array) -> None:
    """Raise RefusedError, with the tensor's name, if there is NaN or infinity in it."""
    if not np.isfinite(array).all():
        raise RefusedError(f"{name} holds {'NaN' if np.isnan(array).any() else 'infinity'}")


@contextmanager
def foreign_reader(what: str) -> Iterator[None]:
    """Turn whatever another library raises on damaged bytes into a one-line RefusedError that begins with `what`."""
    try:
        yield
    except (RefusedError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of safetensors' Rust code is no Exception
        raise RefusedError(f"{what}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The first line of the error's text, shortened to 200 characters; its type where it has none."""
    lines = str(error).strip().splitlines()
    text = _printable(lines[0]) if lines else ""
    return (text if len(text) <= 200 else text[:197] + "...") or type(error).__name__


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Import an optional library within this; where it is missing, an UnavailableError names the extra that installs it."""
    try:
        yield
    except ImportError as error:
        reason = f"{what} needs {name}, which cannot be imported here ({one_line(error)})"
        raise UnavailableError(reason, f"pip install 'lstm-parity[{name}]'") from error
