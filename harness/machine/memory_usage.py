"""Memory in use by this process, from several sources: none of them sees all of it."""

from __future__ import annotations

import ctypes
import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PYTHON = "memory of Python and NumPy"
"""To the byte, from tracemalloc."""
MALLOC = "memory from malloc"
"""To the byte, of every user of the C library's malloc, Python's larger objects included."""
RESIDENT = "the process's anonymous pages"
"""Memory from any source, mapped memory included; but in pages, some of which become resident late."""
DEVICE = "memory in use on the device"
"""From the pools of CuPy and torch. Memory that a backend allocates without them is not seen."""


class _Mallinfo2(ctypes.Structure):
    """glibc's struct of that name."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def _malloc_bytes() -> Callable[[], int] | None:
    """A function that reads glibc's own count over all threads; None with another C library."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError, TypeError):
        return None
    mallinfo2.restype, mallinfo2.argtypes = _Mallinfo2, []

    def read() -> int:
        found = mallinfo2()
        return int(found.uordblks + found.hblkhd)

    return read


def _resident_bytes() -> int | None:
    """Anonymous pages, also those swapped out; None where not known."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:"))]
    return sum(found) if found else None


def _device_bytes() -> int | None:
    """Bytes in use on the current device; None where neither library is imported."""
    found = None
    if (cupy := sys.modules.get("cupy")) is not None:
        with suppress(Exception):  # CuPy is imported, and there is no device
            found = int(cupy.get_default_memory_pool().used_bytes())
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        found = (found or 0) + int(torch.cuda.memory_allocated())
    return found


@contextmanager
def meters() -> Iterator[Callable[[], dict[str, int]]]:
    """Within, a call of the returned function reads all meters: name -> bytes.

    Garbage is collected before each reading, among what was allocated within: a collection of everything in a large process
    takes ten times as long as the calls in between.
    """
    tracing, malloc = tracemalloc.is_tracing(), _malloc_bytes()
    if not tracing:
        tracemalloc.start()
    gc.collect()
    gc.freeze()

    def read() -> dict[str, int]:
        gc.collect()
        found = {
            PYTHON: tracemalloc.get_traced_memory()[0],
            MALLOC: None if malloc is None else malloc() - tracemalloc.get_tracemalloc_memory(),
            RESIDENT: _resident_bytes(),
            DEVICE: _device_bytes(),
        }
        return {name: value for name, value in found.items() if value is not None}

    try:
        yield read
    finally:
        gc.unfreeze()
        if not tracing:
            tracemalloc.stop()


def reset_peak_memory() -> None:
    """Reset the count of this process's peak memory, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> int | None:
    """The most memory this process held since `reset_peak_memory` (since its start, where that cannot be reset)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
