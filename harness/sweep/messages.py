"""What a sweep asks of a worker and what comes back, beside what every worker can be asked (see worker/messages.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstm_parity.backends.problem import Array

from ..oracle.agreement import Results
from ..records import Cell


@dataclass(frozen=True)
class Opened:
    """Seconds for loading, packing and uploading, and where the backend runs."""

    setup_s: float
    device: str


@dataclass(frozen=True)
class Open:
    """Construct the backend for a cell. weights_file: FILE or FILE#name, or None for weights drawn from weights_seed."""

    answer: ClassVar[type] = Opened

    cell: Cell
    weights_seed: int
    weights_file: str | None
    ring_size: int
    flush_bytes: int


@dataclass(frozen=True)
class Checked:
    """What the untimed call gave, the seconds of this first call, and those of moving its arrays in and out.

    remark: how the backend says that it computed; "" where it says nothing.
    """

    results: Results
    first_call_s: float
    transfer_s: float
    remark: str = ""


@dataclass(frozen=True)
class CheckRequest:
    """Run call number 0 untimed, on inputs drawn from `key`, for the given batch rows."""

    answer: ClassVar[type] = Checked

    rows: Array
    projection_seed: int
    key: int


@dataclass(frozen=True)
class Ready:
    """Everything is in place; the next message starts the parent's clock."""


@dataclass(frozen=True)
class Prepare:
    """Have the inputs of the next `calls` calls ready, starting with call number `first`.

    keys: of the inputs to draw, from the first call on whose inputs have not been drawn.
    """

    answer: ClassVar[type] = Ready

    first: int
    calls: int
    keys: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """Seconds a call on the wall clock and, on a GPU, between two events on the backend's stream.

    handover_s: seconds a call, to take over its inputs before and, on a CPU, to get what it returned as host arrays: a
    backend could do its work there.
    """

    wall_s: float
    device_s: float | None
    handover_s: float = 0.0


@dataclass(frozen=True)
class Go:
    """Run the prepared calls, timed."""

    answer: ClassVar[type] = Sample


@dataclass(frozen=True)
class Fetch:
    """Hand over the given batch rows of what call `index` of the last sample returned."""

    answer: ClassVar[type] = Results

    index: int
    rows: Array
    projection_seed: int


@dataclass(frozen=True)
class MemoryUsed:
    """Most bytes held since the cell was opened: by the process, and on the device of a CUDA backend."""

    host: int | None
    device: int | None


@dataclass(frozen=True)
class Memory:
    """Ask for the peak memory since the cell was opened."""

    answer: ClassVar[type] = MemoryUsed


@dataclass(frozen=True)
class Close:
    """Close the backend of this cell; the worker stays for the next."""

    answer: ClassVar[type] = type(None)
