"""The interface between lstm.py and the machine that it runs on, a GPU or the emulator: memory, launches, a matrix product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .plan.device import Device
from .plan.launch import Launch

Argument = Any
"""A device array, an int (32 bits), or None for a null pointer."""


class Machine(Protocol):
    """Arrays are of the machine's own type; they slice, reshape and transpose like NumPy's.

    Work goes to the current stream, in order.
    """

    precision: str
    device: Device

    def upload(self, array: Any, *, real: bool = False) -> Any:
        """A host array as a device array, in the storage dtype or, with `real`, in the dtype of the arithmetic."""

    def empty(self, *shape: int, real: bool = False) -> Any:
        """An uninitialised array, in the storage dtype or, with `real`, in the dtype of the arithmetic."""

    def zeros(self, *shape: int) -> Any:
        """An array of zeros, in the storage dtype."""

    def zero_flags(self, count: int) -> Any:
        """Unsigned 32-bit zeros."""

    def integers(self, values: Any) -> Any:
        """A host array, or a list, as 32-bit integers of the device."""

    def contiguous(self, array: Any) -> Any:
        """The array in row-major order at an address that is a multiple of 16; the array itself where it is already."""

    def copy(self, array: Any) -> Any:
        """A row-major copy."""

    def launch(self, launch: Launch, arguments: Sequence[Argument]) -> None:
        """Run a kernel. Raises LaunchError, naming the kernel and the resource, where the device refuses it."""

    def gemm(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """out [M, N] = a [M, K] b [N, K]^T, or += with `accumulate`.

        out: real, row-major. a, b: in the storage dtype, row- or column-major.
        """

    def replay(self, recording: Recording, arrays: Sequence[Any], launches: Callable[[], None]) -> None:
        """Run launches and products that are the same in every call but for the addresses of `arrays`: a GPU may record them.

        `launches` must not allocate.
        """

    def check_room(self, needed: int) -> None:
        """Raises OutOfMemoryError, with both figures, if fewer than `needed` bytes are free."""


@dataclass
class Recording:
    """What a machine keeps of launches that it repeats (Machine.replay)."""

    graphs: dict[tuple[int, ...], Any] = field(default_factory=dict)
    """By the addresses of the arrays; None before the graph is recorded"""


class LaunchError(RuntimeError):
    """The device refuses a launch; the message names the kernel and the resource."""


class OutOfMemoryError(MemoryError):
    """The arrays that a call needs do not fit; nothing has been allocated for it."""
