"""Compiles kernel files for the CPU, and launches their kernels."""

from __future__ import annotations

import math
import os
import re
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...interface import UnavailableError
from ...problem import STORAGE
from ..source import KERNELS
from .compiler import NAMES, CompileError, compile_library, compiler, default_cache, source_texts
from .findings import Access, EmulationError, Finding
from .library import AccessRecord, ArrayRecord, Kernel, KernelFile, Runtime
from .schedule import KINDS, Schedule

FOLDER = Path(__file__).parent
ALIGNMENT = 256
"""Of an allocation on a GPU, in bytes."""
MAX_THREADS = 1024
IN_ORDER = Schedule()
FileStates = tuple[tuple[Path, int, int], ...]
"""Of each file its path, time of change in nanoseconds and bytes."""
RECENT_NS = 2_000_000_000
"""A file that has changed within this time may change again without a new time of change."""

_lock = threading.RLock()  # a process has one runtime, which runs one launch at a time
_runtimes: list[Runtime] = []
_loaded: dict[tuple[Path, str, Path], tuple[KernelFile, FileStates]] = {}
"""The libraries of kernel files, and the state of their sources; empty if a source had changed recently."""


class Emulator:
    """Runs the kernels of a folder. They are compiled when they are launched first, and cached in `cache`."""

    switches: int
    """From one thread to another, in the last launch"""

    def __init__(self, kernels: Path = KERNELS, cache: Path | None = None) -> None:
        self.kernels = kernels
        self.cache = cache or default_cache()
        self.switches = 0
        self._files: dict[tuple[str, str], KernelFile] = {}

    @staticmethod
    def unavailable() -> str | None:
        """Why kernels cannot be run on this machine's CPU; None if they can."""
        if os.name != "posix":
            return "the emulator of CUDA kernels needs Linux, macOS or another POSIX system"
        command = compiler()
        if command is None:
            return f"no C++ compiler: install one ({', '.join(NAMES)}) or the Python package ziglang"
        try:
            compile_library(FOLDER / "runtime" / "probe.cpp", (), (), default_cache())
        except CompileError as error:
            return f"the C++ compiler {' '.join(command)} does not work: {[*str(error).splitlines(), ''][1]}"
        return None

    def empty(self, shape: int | Sequence[int], dtype: Any, detect: bool) -> np.ndarray[Any, Any]:
        """An array of bytes 0xFF, which are NaN, aligned as on a GPU. detect: a read before the first write is a finding."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        memory = np.empty(size + ALIGNMENT, np.uint8)
        memory.fill(0xFF)
        skip = -_address(memory) % ALIGNMENT
        if detect and size:
            with _lock:
                _runtime(self.cache).register(_address(memory) + skip, size, dtype.itemsize)
            weakref.finalize(memory, _unregister, _address(memory) + skip).atexit = False
        array: np.ndarray[Any, Any] = memory[skip : skip + size].view(dtype).reshape(shape)
        return array

    def launch(
        self,
        kernel: str,
        precision: str,
        *,
        file: str | None = None,
        grid: tuple[int, int, int],
        threads: int,
        shared_bytes: int = 0,
        sizes: Mapping[str, int],
        arguments: Sequence[np.ndarray[Any, Any] | int | None],
        cooperative: bool = False,
        cluster: int = 1,
        schedule: Schedule = IN_ORDER,
        detect: bool = True,
    ) -> None:
        """Run a kernel of `file`.cu (None: `kernel`.cu) to its end.

        arguments: an array for each pointer, or None for a null one; an int for each int. detect=False: accesses are not
        checked, which is many times faster; deadlocks and wrong barriers are still found.

        Raises EmulationError if the launch has findings, ValueError for an invalid launch, CompileError if the file does not
        compile, and UnavailableError without a compiler.
        """
        with _lock:
            kernels = self._file(file or kernel, precision)
            found = kernels.kernel(kernel)
            kernels.set_sizes(sizes)
            _set_arguments(found, arguments, detect)
            blocks = grid[0] * grid[1] * grid[2]
            if min(grid) < 1 or not 1 <= threads <= MAX_THREADS or blocks * (threads + 31) >= 2**32:
                raise ValueError(f"{kernel}: no grid of {grid} blocks of {threads} threads can be launched")
            if cluster < 1 or grid[0] % cluster:
                raise ValueError(f"{kernel}: {grid[0]} blocks along x are no whole number of clusters of {cluster}")
            if shared_bytes < 0:
                raise ValueError(f"{kernel}: shared_bytes must be at least 0, not {shared_bytes}")
            request = found.request
            request.grid = grid
            request.threads = threads
            request.shared_bytes = shared_bytes
            request.cluster = cluster
            request.cooperative = cooperative
            request.schedule = KINDS.index(schedule.kind)
            request.seed = schedule.seed
            request.detect = detect
            runtime = _runtimes[0]
            count = runtime.launch(found.address)
            self.switches = runtime.switches()
            if count:
                names = _parameter_names(self.kernels / f"{file or kernel}.cu", kernel)
                raise EmulationError([_finding(runtime.finding(i).contents, kernel, names) for i in range(count)])

    def _file(self, name: str, precision: str) -> KernelFile:
        found = self._files.get((name, precision))
        if found is None:
            if precision not in STORAGE:
                raise ValueError(f"precision must be one of {', '.join(STORAGE)}, not {precision!r}")
            found = self._files[name, precision] = _load(self.kernels / f"{name}.cu", precision, self.cache)
        return found


def _load(source: Path, precision: str, cache: Path) -> KernelFile:
    """A kernel file's library: the loaded one if its sources have not changed."""
    library, states = _loaded.get((source, precision, cache), (None, ()))
    if library is not None and states and states == _states([path for path, _, _ in states]):
        return library
    if not source.is_file():
        raise ValueError(f"there is no kernel file {source}")
    _runtime(cache)
    include = (source.parent, KERNELS, FOLDER / "device")
    states = _states(source_texts(source, include))
    if any(time.time_ns() - changed < RECENT_NS for _, changed, _ in states):
        states = ()
    flags = ("-DEMULATED", f"-DPRECISION_{precision}=1")
    library = KernelFile(compile_library(source, include, flags, cache), source.stem)
    _loaded[source, precision, cache] = library, states
    return library


def _parameter_names(source: Path, kernel: str) -> list[str]:
    """The names of a kernel's parameters, in order."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", source.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.search(rf"__global__[^;{{]*?\b{kernel}\s*\(([^)]*)\)", text)
    return [] if found is None else [parameter.split()[-1].lstrip("*&") for parameter in found[1].split(",")]


def _states(paths: Iterable[Path]) -> FileStates:
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            state = path.stat()
            found.append((path, state.st_mtime_ns, state.st_size))
    return tuple(found)


def _runtime(cache: Path) -> Runtime:
    if not _runtimes:
        reason = Emulator.unavailable()
        if reason is not None:
            raise UnavailableError(*reason.split(": ", 1))
        _runtimes.append(Runtime(compile_library(FOLDER / "runtime" / "runtime.cpp", (FOLDER,), (), cache)))
    return _runtimes[0]


def _unregister(address: int) -> None:
    with _lock:
        _runtimes[0].unregister(address)


def _address(array: np.ndarray[Any, Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _set_arguments(kernel: Kernel, arguments: Sequence[Any], detect: bool) -> None:
    parameters, words, count = kernel.parameters, kernel.words, 0
    if len(arguments) != len(parameters):
        raise ValueError(f"{kernel.name} takes {len(parameters)} arguments, not {len(arguments)}")
    for i, (argument, (kind, itemsize)) in enumerate(zip(arguments, parameters, strict=True)):
        if kind == "i":
            if not isinstance(argument, (int, np.integer)) or not -(2**31) <= argument < 2**31:
                raise ValueError(f"argument {i + 1} of {kernel.name} must be an int of 32 bits, not {argument!r}")
            words[i] = int(argument) & 0xFFFFFFFF
        elif argument is None:
            words[i] = 0
        elif not isinstance(argument, np.ndarray):
            raise ValueError(f"argument {i + 1} of {kernel.name} must be an array or None, not {argument!r}")
        else:
            if argument.itemsize not in (itemsize, 1):
                raise ValueError(
                    f"argument {i + 1} of {kernel.name} must be of {itemsize} bytes an element, not {argument.dtype}"
                )
            if kind == "p" and not argument.flags.writeable:
                raise ValueError(f"argument {i + 1} of {kernel.name} is read-only, and the kernel may write to it")
            words[i] = address = _address(argument)
            if detect:
                record = kernel.arrays[count]
                _set_record(record, argument, address)
                record.itemsize = itemsize
                record.is_const = kind == "c"
                record.number = i + 1
                count += 1
    kernel.request.array_count = count


def _set_record(record: ArrayRecord, array: np.ndarray[Any, Any], address: int) -> None:
    """Where an array is, and the memory that it is a part of: all that its outermost base has."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    first, end = _address(whole), 0
    if whole.flags.forc:
        end = first + whole.nbytes
    elif whole.size:
        reaches = [stride * (extent - 1) for stride, extent in zip(whole.strides, whole.shape, strict=True)]
        end = first + sum(reach for reach in reaches if reach > 0) + whole.itemsize
        first += sum(reach for reach in reaches if reach < 0)
    record.address = address
    record.first = first
    record.bytes = max(0, end - first)


def _finding(record: Any, kernel: str, names: Sequence[str]) -> Finding:
    other = record.other

    def named(match: re.Match[str]) -> str:
        number = int(match[1]) - 1
        return names[number] if number < len(names) else match[0]

    message = re.sub(r"\bargument (\d+)\b", named, record.message.decode())
    access = Access(*_place(other), is_write=record.other_kind == 2) if record.other_kind else None
    return Finding(record.kind.decode(), message, kernel, *_place(record.access), access, record.count)


def _place(record: AccessRecord) -> tuple[str, int, tuple[int, int, int], int, int | None]:
    file = Path(record.site.file.decode()).name if record.site.file else ""
    x, y, z = record.block
    return file, record.site.line, (x, y, z), record.thread, record.step if record.step >= 0 else None
