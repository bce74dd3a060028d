"""The machine: its hardware and load, its fingerprint, and how many threads its libraries may use."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .git import own_commit

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""The variables from which numeric libraries read their number of threads when they are loaded."""

ALLOCATOR_VARIABLES = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""With these glibc keeps freed memory. By default it returns it to the system depending on what is allocated above it, so that
the same call has hundreds of page faults in one process and none in the next."""

LIBRARIES = (
    *("lstm-parity", "numpy", "pandas", "ml_dtypes", "torch", "cupy-cuda13x", "cupy-cuda12x"),
    *("nvidia-cudnn-cu13", "nvidia-cudnn-cu12", "nvidia-cublas", "nvidia-cublas-cu12"),
)

DEFAULT_CACHE_BYTES = 32 * 2**20
"""Assumed size of the last-level cache where it cannot be read."""
L2_CACHE_SIZE = 38
"""CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE of the CUDA driver API, in bytes."""


def cpu_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def worker_environment(threads: int) -> Iterator[None]:
    """Within, processes are started with THREAD_VARIABLES set to `threads`, and with ALLOCATOR_VARIABLES."""
    wanted = dict.fromkeys(THREAD_VARIABLES, str(threads)) | ALLOCATOR_VARIABLES
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def cpu_name() -> str:
    """The processor's name, or its architecture where the name is not known."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "cpu"


def memory_bytes() -> int | None:
    """Memory that this process may use: the machine's, or the limit of its control group; None where not known."""
    sizes = []
    with suppress(AttributeError, ValueError, OSError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            sizes.append(int(Path(limit).read_text()))
        except (OSError, ValueError):  # no such group, or no limit ("max")
            continue
    return min(sizes, default=None)


@cache
def cache_bytes(device: str) -> int:
    """Size of the last cache before the memory: of the machine's first core ("cpu"), or of its GPUs the largest ("cuda")."""
    if device == "cuda":
        return max((_gpu_attribute(driver, gpu, L2_CACHE_SIZE) for driver, gpu in _gpus()), default=0) or DEFAULT_CACHE_BYTES
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        scale = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
        sizes.append(int(text.rstrip("KMG")) * scale)
    return max(sizes, default=DEFAULT_CACHE_BYTES)


def oom_kills() -> int | None:
    """How many processes the kernel's out-of-memory killer has ended since the start; None where not known."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return None


def busy_seconds() -> float | None:
    """CPU seconds of all processes of the machine, and those taken by a hypervisor; None where not known."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(v) for v in fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float:
    """CPU seconds of a process and its children; 0 where not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    except OSError:
        return 0.0
    own = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(process_seconds(int(child)) for child in children)


def gpu_names() -> list[str]:
    """The NVIDIA GPUs by name, read from the driver without a Python package."""
    names = []
    for driver, device in _gpus():
        text = ctypes.create_string_buffer(128)
        if driver.cuDeviceGetName(text, 128, device) == 0:
            names.append(text.value.decode())
    return names


def _gpus() -> list[tuple[Any, ctypes.c_int]]:
    """The CUDA driver and its handle of each GPU; empty without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    devices = [ctypes.c_int() for _ in range(count.value)]
    return [(driver, device) for k, device in enumerate(devices) if driver.cuDeviceGet(ctypes.byref(device), k) == 0]


def _gpu_attribute(driver: Any, device: ctypes.c_int, attribute: int) -> int:
    """An attribute of a GPU; 0 where not known."""
    value = ctypes.c_int()
    return value.value if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device) == 0 else 0


def _driver_version() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        return None


def _library_versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def fingerprint() -> dict[str, Any]:
    """The machine as nested plain values: hardware, system, libraries, git commit, and the load of the last minute."""
    commit, changes = own_commit()
    return {
        "cpu": cpu_name(),
        "cores": cpu_count(),
        "cache_bytes": cache_bytes("cpu"),
        "gpu_cache_bytes": cache_bytes("cuda") if gpu_names() else None,
        "memory_bytes": memory_bytes(),
        "gpu": gpu_names(),
        "gpu_driver": _driver_version(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "libraries": _library_versions(),
        "git_commit": commit,
        "git_changes": changes,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def machine_id(found: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that stay the same for the same hardware and libraries."""
    lasting = {name: found[name] for name in ("cpu", "cores", "memory_bytes", "gpu", "gpu_driver", "os", "python", "libraries")}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:12]
