"""The compiled libraries, called through ctypes: the runtime, and the kernels of one file."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Site(ctypes.Structure):
    """device/calls.h: Site."""

    _fields_ = (("file", ctypes.c_char_p), ("line", ctypes.c_int))


class AccessRecord(ctypes.Structure):
    """runtime/findings.h: Access."""

    _fields_ = (("site", Site), ("block", ctypes.c_uint * 3), ("thread", ctypes.c_int), ("step", ctypes.c_int))


class FindingRecord(ctypes.Structure):
    """runtime/findings.h: Finding."""

    _fields_ = (
        ("kind", ctypes.c_char * 24),
        ("message", ctypes.c_char * 640),
        ("access", AccessRecord),
        ("other", AccessRecord),
        ("other_kind", ctypes.c_int),
        ("count", ctypes.c_ulonglong),
    )


class ArrayRecord(ctypes.Structure):
    """runtime/state.h: Array."""

    _fields_ = (
        ("address", ctypes.c_size_t),
        ("first", ctypes.c_size_t),
        ("bytes", ctypes.c_ulonglong),
        ("itemsize", ctypes.c_uint),
        ("is_const", ctypes.c_int),
        ("number", ctypes.c_int),
    )


class Request(ctypes.Structure):
    """runtime/state.h: Request."""

    _fields_ = (
        ("kernel", ctypes.c_char_p),
        ("run", ctypes.c_void_p),
        ("words", ctypes.POINTER(ctypes.c_ulonglong)),
        ("arrays", ctypes.POINTER(ArrayRecord)),
        ("array_count", ctypes.c_int),
        ("grid", ctypes.c_uint * 3),
        ("threads", ctypes.c_uint),
        ("shared_bytes", ctypes.c_ulonglong),
        ("cluster", ctypes.c_uint),
        ("cooperative", ctypes.c_int),
        ("schedule", ctypes.c_int),
        ("seed", ctypes.c_ulonglong),
        ("detect", ctypes.c_int),
    )


class SizeEntry(ctypes.Structure):
    """device/calls.h: SizeEntry."""


SizeEntry._fields_ = (
    ("name", ctypes.c_char_p),
    ("value", ctypes.POINTER(ctypes.c_int)),
    ("next", ctypes.POINTER(SizeEntry)),
)


class Runtime:
    """The runtime library. It must be loaded before a kernel file's library, which imports its names."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self.launch: Any = library.emulator_launch
        self.launch.argtypes = (ctypes.c_void_p,)
        self.finding: Any = library.emulator_finding
        self.finding.argtypes = (ctypes.c_int,)
        self.finding.restype = ctypes.POINTER(FindingRecord)
        self.switches: Any = library.emulator_switches
        self.switches.restype = ctypes.c_ulonglong
        self.register: Any = library.emulator_register
        self.register.argtypes = (ctypes.c_size_t, ctypes.c_ulonglong, ctypes.c_uint)
        self.register.restype = None
        self.unregister: Any = library.emulator_unregister
        self.unregister.argtypes = (ctypes.c_size_t,)
        self.unregister.restype = None


class Kernel:
    """A kernel of a file."""

    parameters: tuple[tuple[str, int], ...]
    """For each "p" (pointer), "c" (pointer to const) or "i" (int), and the bytes of the element that it points to"""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        run = library[f"emulator_run_{name}"]
        signature = library[f"emulator_signature_{name}"]
        signature.restype = ctypes.c_char_p
        text = signature().decode()
        self.name = name
        self.parameters = tuple((text[i], ord(text[i + 1]) - ord("0")) for i in range(0, len(text), 2))
        self.words = (ctypes.c_ulonglong * len(self.parameters))()
        self.arrays = (ArrayRecord * len(self.parameters))()
        self._name = name.encode()
        self.request = Request(kernel=self._name, run=ctypes.cast(run, ctypes.c_void_p), words=self.words, arrays=self.arrays)
        self.address = ctypes.addressof(self.request)


class KernelFile:
    """The library of one kernel file in one precision."""

    sizes: dict[str, Any]
    """Its SIZEs, by name"""

    def __init__(self, path: Path, name: str) -> None:
        self._library = ctypes.CDLL(str(path))
        self._name = name
        self._kernels: dict[str, Kernel] = {}
        first = self._library.emulator_sizes
        first.restype = ctypes.POINTER(SizeEntry)
        self.sizes = {}
        entry = first()
        while entry:
            self.sizes[entry.contents.name.decode()] = entry.contents.value.contents
            entry = entry.contents.next

    def kernel(self, name: str) -> Kernel:
        """The kernel of that name. Raises ValueError if the file does not export it."""
        found = self._kernels.get(name)
        if found is None:
            try:
                found = self._kernels[name] = Kernel(self._library, name)
            except AttributeError:
                raise ValueError(f"{self._name}.cu exports no kernel {name!r}: EXPORT_KERNEL({name}) is missing") from None
        return found

    def set_sizes(self, sizes: Mapping[str, int]) -> None:
        """Set the SIZEs. Raises ValueError unless `sizes` has exactly the file's names."""
        if sizes.keys() != self.sizes.keys():
            unknown, missing = sorted(sizes.keys() - self.sizes.keys()), sorted(self.sizes.keys() - sizes.keys())
            wrong = [f"has no size {', '.join(unknown)}"] * bool(unknown) + [f"needs the size {', '.join(missing)}"] * bool(
                missing
            )
            raise ValueError(f"{self._name}.cu {' and '.join(wrong)}")
        for name, value in sizes.items():
            self.sizes[name].value = value
