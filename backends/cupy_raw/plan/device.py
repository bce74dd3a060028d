"""What a launch plan must know of a device.

Source: CUDA C++ Programming Guide, technical specifications per compute capability; the makers' data sheets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class Device:
    """A device as the plan sees it.

    arch: what NVRTC compiles for. multiprocessors: blocks of a persistent kernel that are resident at once, one each.
    shared_bytes: of shared memory that a block may ask for. threads: of a block of a persistent kernel. most_chunk: columns of
    the operand that a persistent kernel keeps in shared memory at most. most_batch_slices: into which it cuts the batch at
    most. cooperative: whether all blocks of a launch can be made resident.
    """

    name: str
    arch: str
    multiprocessors: int
    shared_bytes: int
    threads: int = 256
    most_chunk: int = 1 << 20
    most_batch_slices: int = 1 << 20
    cooperative: bool = True


DEVICES: Mapping[str, Device] = {
    "sm_80": Device("A100", "sm_80", 108, 163 * KIB),
    "sm_86": Device("A10", "sm_86", 72, 99 * KIB),
    "sm_89": Device("L40S", "sm_89", 142, 99 * KIB),
    "sm_90a": Device("H100 SXM", "sm_90a", 132, 227 * KIB),
    "sm_100": Device("B200", "sm_100", 148, 227 * KIB),
    "sm_120": Device("RTX 5090", "sm_120", 170, 99 * KIB),
}
"""For each architecture the device that plans are made for where there is none to ask."""

EMULATED = Device("the emulator", "emulated", 8, 8192 * KIB, threads=64, most_chunk=48, most_batch_slices=2)
"""Few small blocks, so that small problems are spread over several blocks and chunks, as large ones are on a GPU. The batch is
never all that is cut, so that blocks need each other's work."""
