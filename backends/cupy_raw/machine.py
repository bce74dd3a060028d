"""What the run of an LSTM asks of the machine it runs on: memory, launches, one matrix product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .plan.device import Device
from .plan.launch import Launch

Argument = Any
"""A device array, an int (32 bits), or None for a null pointer."""


class Machine(Protocol):
    """Arrays are the machine's own; they slice, reshape and transpose as NumPy's do.

    In `bfloat16` they hold whatever the machine stores 16 bits as. Work goes to the current stream, in order.
    """

    precision: str
    device: Device

    def upload(self, array: Any, *, real: bool = False) -> Any:
        """A host array as a device array, in the storage dtype or, with `real`, in the dtype of the arithmetic."""

    def empty(self, *shape: int, real: bool = False) -> Any:
        """An array that nothing has been written to."""

    def zeros(self, *shape: int) -> Any:
        """An array of zeros, in the storage dtype."""

    def zero_flags(self, count: int) -> Any:
        """Unsigned 32-bit zeros."""

    def integers(self, values: Any) -> Any:
        """A host array, or a list, as 32-bit integers of the device."""

    def contiguous(self, array: Any) -> Any:
        """The array in row-major order, from an address that 16-byte copies can begin at; itself where it is that."""

    def copy(self, array: Any) -> Any:
        """A row-major copy."""

    def launch(self, launch: Launch, arguments: Sequence[Argument]) -> None:
        """Run a kernel. Raises LaunchError, naming the kernel and the resource, where the device refuses it."""

    def gemm(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """out [M, N] = (or +=) a [M, K] b [N, K]^T. out is real and row-major; a and b are in storage, row- or column-major."""

    def replay(self, recording: Recording, arrays: Sequence[Any], launches: Callable[[], None]) -> None:
        """Carry out launches and products that are the same in every call, but for these arrays: a GPU may record them.

        The launches allocate nothing.
        """

    def check_room(self, needed: int) -> None:
        """Raises OutOfMemoryError, with both figures, where so many bytes are not free."""


@dataclass
class Recording:
    """What a machine keeps of launches that come again and again: a graph for where the arrays were; None before it is made."""

    graphs: dict[tuple[int, ...], Any] = field(default_factory=dict)


class LaunchError(RuntimeError):
    """The device refuses a launch: which kernel, and for want of what."""


class OutOfMemoryError(MemoryError):
    """The arrays that a call needs do not fit; nothing has been allocated for it."""
