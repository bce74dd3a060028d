"""What a sweep asks of a worker, and the answers, in addition to what every worker answers (worker/messages.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstm_parity.backends.problem import Array

from ..oracle.results import Results
from ..records import Cell


@dataclass(frozen=True)
class Opened:
    """A backend is constructed for a cell."""

    setup_s: float
    """Seconds for loading, packing and uploading."""
    device: str
    """Name of the processor or GPU that it runs on."""


@dataclass(frozen=True)
class Open:
    """Construct the backend for a cell."""

    answer: ClassVar[type] = Opened

    cell: Cell
    weights_seed: int
    """What the weights are drawn from, where there is no file."""
    weights_file: str | None
    """FILE or FILE#name."""
    ring_size: int
    """How many sets of inputs are held at a time."""
    flush_bytes: int
    """Bytes that empty the cache before each sample; 0: it is not emptied."""


@dataclass(frozen=True)
class Checked:
    """The untimed first call."""

    results: Results
    first_call_s: float
    transfer_s: float
    """Seconds for moving its inputs to the device and its outputs to the host."""
    remark: str = ""
    """How the backend says that it computed."""


@dataclass(frozen=True)
class CheckRequest:
    """Make call 0, untimed, on inputs drawn from `key`, and return these batch rows of its results."""

    answer: ClassVar[type] = Checked

    rows: Array
    projection_seed: int
    key: int


@dataclass(frozen=True)
class Ready:
    """Everything is prepared; the next message starts the parent's clock."""


@dataclass(frozen=True)
class Prepare:
    """Prepare the inputs of calls number `first` to `first + calls - 1`."""

    answer: ClassVar[type] = Ready

    first: int
    calls: int
    keys: tuple[int, ...]
    """Of the inputs to draw, one a call, from the first call on whose inputs have not been drawn."""


@dataclass(frozen=True)
class Sample:
    """Seconds per call of one sample."""

    wall_s: float
    device_s: float | None
    """Between two events on the backend's stream; None on a CPU."""
    handover_s: float = 0.0
    """For uploading the inputs before the call and, on a CPU, reading the results after it: work could be hidden there."""


@dataclass(frozen=True)
class Go:
    """Run the prepared calls, timed."""

    answer: ClassVar[type] = Sample


@dataclass(frozen=True)
class Fetch:
    """Return these batch rows of what call `index` of the last sample returned."""

    answer: ClassVar[type] = Results

    index: int
    rows: Array
    projection_seed: int


@dataclass(frozen=True)
class MemoryUsed:
    """Peak bytes since the cell was opened; None where not known."""

    host: int | None
    """Of the worker process."""
    device: int | None
    """On the device of a CUDA backend."""


@dataclass(frozen=True)
class Memory:
    """Read the peak memory since the cell was opened."""

    answer: ClassVar[type] = MemoryUsed


@dataclass(frozen=True)
class Close:
    """Close this cell's backend; the worker stays for the next cell."""

    answer: ClassVar[type] = type(None)
