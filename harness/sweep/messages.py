"""What the parent asks of a worker and what comes back: plain values over a pipe.

describe -> Description; open -> Opened; check, sample, fetch -> as named below. A worker that cannot do what it is asked
answers with a Failure; one that is gone answers nothing, which the parent sees as a closed pipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backends import Capabilities
from backends.problem import Array

from ..verify.agreement import Results
from .cell import Cell


@dataclass(frozen=True)
class Describe:
    """Load the backend class; answered with a Description."""


@dataclass(frozen=True)
class Description:
    """What the backend is: its promises, and why it cannot run here (None if it can)."""

    capabilities: Capabilities
    unavailable: str | None


@dataclass(frozen=True)
class Open:
    """Construct the backend for a cell. weights_file: FILE or FILE#name, or None for drawn weights."""

    cell: Cell
    seed: int
    weights_file: str | None
    ring_size: int
    flush_bytes: int


@dataclass(frozen=True)
class Opened:
    """Seconds for loading, packing and uploading, and where the backend runs."""

    setup_s: float
    device: str


@dataclass(frozen=True)
class Check:
    """Run call number 0 untimed; answered with a Checked for the given batch rows."""

    rows: Array
    projection_seed: int


@dataclass(frozen=True)
class Checked:
    """What the untimed call gave, the seconds of this first call, and those of moving its arrays in and out."""

    results: Results
    first_call_s: float
    transfer_s: float


@dataclass(frozen=True)
class Prepare:
    """Make the inputs of the next `calls` calls ready, starting with call number `first`; answered with Ready."""

    first: int
    calls: int


@dataclass(frozen=True)
class Ready:
    """Everything is in place; the next message starts the clock."""


@dataclass(frozen=True)
class Go:
    """Run the prepared calls, timed; answered with a Sample."""


@dataclass(frozen=True)
class Sample:
    """Seconds a call on the wall clock and, on a GPU, between two events on the backend's stream.

    read_s: on a CPU, seconds to get y as a host array afterwards, which a backend could put its work off until.
    """

    wall_s: float
    device_s: float | None
    read_s: float = 0.0


@dataclass(frozen=True)
class Fetch:
    """Hand over the given batch rows of what call `index` of the last sample returned; answered with Results."""

    index: int
    rows: Array
    projection_seed: int


@dataclass(frozen=True)
class Memory:
    """Ask for the peak memory since the cell was opened; answered with bytes on the host and, on a GPU, on the device."""


@dataclass(frozen=True)
class Close:
    """Close the backend of this cell; the worker stays for the next."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in a worker. kind: "unsupported", "unavailable", "out_of_memory", "not_found", "wrong" or
    "crashed".
    """

    kind: str
    reason: str


Answer = Any
