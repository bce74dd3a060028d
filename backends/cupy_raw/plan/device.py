"""The properties of a device that a launch plan depends on.

Source: CUDA C++ Programming Guide, technical specifications per compute capability; the makers' data sheets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class Device:
    """A device, or the emulator, as plan() sees it."""

    name: str
    arch: str
    """The architecture that NVRTC compiles for"""
    multiprocessors: int
    """Each has one resident block of a persistent kernel"""
    shared_bytes: int
    """Shared memory that a block may ask for"""
    threads: int = 256
    """Of a block of a persistent kernel"""
    max_chunk: int = 1 << 20
    """Columns of the operand that a persistent kernel stages in shared memory at once"""
    max_batch_slices: int = 1 << 20
    """Slices into which a persistent kernel cuts the batch"""
    cooperative: bool = True
    """Whether a cooperative launch is possible: all blocks resident at once"""


DEVICES: Mapping[str, Device] = {
    "sm_80": Device("A100", "sm_80", 108, 163 * KIB),
    "sm_86": Device("A10", "sm_86", 72, 99 * KIB),
    "sm_89": Device("L40S", "sm_89", 142, 99 * KIB),
    "sm_90a": Device("H100 SXM", "sm_90a", 132, 227 * KIB),
    "sm_100": Device("B200", "sm_100", 148, 227 * KIB),
    "sm_120": Device("RTX 5090", "sm_120", 170, 99 * KIB),
}
"""The device that is planned for, by architecture, where there is no GPU to ask."""

EMULATED = Device("the emulator", "emulated", 8, 8192 * KIB, threads=64, max_chunk=48, max_batch_slices=2)
"""Few small blocks, so that small problems are spread over several blocks and chunks, like large ones on a GPU. With at most
two slices of the batch the hidden units are cut too, so that blocks read each other's results."""
