"""The state of a GPU: the clock of its multiprocessors, and why that clock is reduced.

Read through NVML, the driver's library behind nvidia-smi, which needs neither a CUDA context nor a Python package. A reduced
clock was seen in tests alone, with a library that answers as the manual says.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
CUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

_CLOCK_SM = 1
_PCI_ID_LENGTH = 32
_REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
"""One function by its new and its old name; older drivers have the second only."""

IDLE = 0x1
REASONS = {
    IDLE: "idle",
    0x2: "the clock that an application has asked for",
    0x4: "the power limit",
    0x8: "the hardware's slowdown",
    0x10: "the clock of another GPU",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "the power supply",
    0x100: "the clock of the display",
}
"""What reduces the clock, by the bits of nvml.h (nvmlClocksEventReason...)."""
DISTURBING = 0x8 | 0x20 | 0x40 | 0x80
"""Bits that are set only where something is wrong with the machine. The power limit is not among them: large matrix products
reach it in every run, and its cost shows in the clock."""
CLOCK_DROP = 0.05
"""By this share below the highest clock of a cell, a sample does not count. Boost clocks vary by less than 1% in any run."""


@dataclass(frozen=True)
class GPUState:
    """One reading. clock_mhz: of the multiprocessors; throttle_bits: see REASONS. None: the driver does not tell."""

    clock_mhz: float | None
    throttle_bits: int | None


def gpu_state(ordinal: int = 0) -> GPUState | None:
    """The state of the GPU that CUDA calls `ordinal` (so CUDA_VISIBLE_DEVICES counts); None without a driver, or a GPU."""
    found = _device(ordinal)
    if found is None:
        return None
    library, device = found
    clock, bits = ctypes.c_uint(), ctypes.c_ulonglong()
    tells_clock = library.nvmlDeviceGetClockInfo(device, _CLOCK_SM, ctypes.byref(clock)) == 0
    reasons = next((getattr(library, name) for name in _REASONS if hasattr(library, name)), None)
    tells_bits = reasons is not None and reasons(device, ctypes.byref(bits)) == 0
    if not tells_clock and not tells_bits:
        return None
    return GPUState(float(clock.value) if tells_clock else None, int(bits.value) if tells_bits else None)


def describe_throttling(bits: int) -> str:
    """The reasons of these bits; unknown ones by their number."""
    known = [reason for bit, reason in REASONS.items() if bits & bit]
    unknown = bits & ~sum(REASONS)
    return ", ".join([*known, *([f"reason {unknown:#x}"] if unknown else [])]) or "nothing"


def why_disturbed(state: GPUState, highest_mhz: float | None) -> str | None:
    """Why the samples before this reading do not count; None if they do. highest_mhz: of this cell so far."""
    bits = state.throttle_bits or 0
    if bits & DISTURBING:
        return f"the GPU's clock was reduced by {describe_throttling(bits & DISTURBING)}"
    if state.clock_mhz is None or highest_mhz is None or bits & IDLE:  # an idle GPU lowers its clock by itself
        return None
    if state.clock_mhz < (1 - CLOCK_DROP) * highest_mhz:
        why = f" ({describe_throttling(bits)})" if bits else ""
        return f"the GPU's clock was at {state.clock_mhz:.0f} MHz, after {highest_mhz:.0f} MHz in this cell{why}"
    return None


@cache
def _device(ordinal: int) -> tuple[Any, ctypes.c_void_p] | None:
    """NVML, ready, and its handle of CUDA's device; None where there is none, or more than one could be meant."""
    try:
        library = ctypes.CDLL(NVML)
        ready = library.nvmlInit_v2() == 0
    except (OSError, AttributeError):
        return None
    if not ready:
        return None
    device, bus = ctypes.c_void_p(), _pci_bus_id(ordinal)
    if bus is not None:
        found = library.nvmlDeviceGetHandleByPciBusId_v2(bus, ctypes.byref(device)) == 0
        return (library, device) if found else None
    count = ctypes.c_uint()
    if ordinal != 0 or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0 or count.value != 1:
        return None
    return (library, device) if library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0 else None


def _pci_bus_id(ordinal: int) -> bytes | None:
    """The PCI bus id of CUDA's device: NVML numbers all devices, CUDA the visible ones in an order of its own."""
    try:
        driver = ctypes.CDLL(CUDA)
    except OSError:
        return None
    device, text = ctypes.c_int(), ctypes.create_string_buffer(_PCI_ID_LENGTH)
    if driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), ordinal) != 0:
        return None
    return text.value if driver.cuDeviceGetPCIBusId(text, _PCI_ID_LENGTH, device) == 0 else None
