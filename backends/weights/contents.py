"""What is found in a model file, what is handed out, and the one error for everything that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..interface import UnavailableError
from ..problem import STORAGE, Array, LSTMSpec, LSTMWeights, Precision
from .conversions import storage_precision


class WeightsFileError(ValueError):
    """A file from which no LSTM weights can be taken; the message is one line: which file, what is wrong, how to mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))  # names in a damaged file may hold anything


class RefusedError(ValueError):
    """Why one LSTM of a file is not taken, in words that begin after "FILE: NAME: "."""


@dataclass(frozen=True, eq=False)
class FoundLSTM:
    """One LSTM of a file. name: what `FILE#name` picks it by; full_name: with every container around it, picks it as well.

    weights: in the dtype of the file, or None where the LSTM is there but not taken; `refused` then says why.
    """

    name: str
    weights: LSTMWeights | None = field(repr=False)
    refused: str = ""
    full_name: str = ""

    @property
    def sizes(self) -> str:
        """Sizes in the axis letters, such as "I=40 H=256 L=3 D=1 float32", or "refused"."""
        if self.weights is None:
            return "refused"
        spec = self.weights.infer_spec(storage_precision(self.weights))
        words = [f"I={spec.input_size} H={spec.hidden_size} L={spec.num_layers} D={spec.num_directions}"]
        words += [f"P={spec.proj_size}"] * bool(spec.proj_size) + ["no bias"] * (not spec.bias) + ["peepholes"] * spec.peephole
        return " ".join([*words, spec.precision])


@dataclass(frozen=True)
class Contents:
    """All of a file. lstms: in the file's order. others: recurrent cells that are no LSTM, such as "GRU decoder"."""

    lstms: list[FoundLSTM] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One LSTM of a file. name: its name in the file. weights: in the dtype of the file (bfloat16: ml_dtypes)."""

    name: str
    path: Path
    weights: LSTMWeights = field(repr=False)

    @property
    def precision(self) -> Precision:
        """The precision in which the file stores the weights: float64, float32, float16 or bfloat16."""
        return storage_precision(self.weights)

    def spec(self, precision: Precision) -> LSTMSpec:
        """The LSTM that the file describes, to be computed in `precision`."""
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
    """Turn whatever another library raises on damaged bytes into a RefusedError of one line that begins with `what`."""
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
    """Import an optional library inside this; one that is missing becomes an UnavailableError that says which extra has it."""
    try:
        yield
    except ImportError as error:
        reason = f"{what} needs {name}, which cannot be imported here ({one_line(error)})"
        raise UnavailableError(reason, f"pip install 'lstm-parity[{name}]'") from error
