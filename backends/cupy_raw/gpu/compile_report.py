"""The compiler's report on a kernel file, on a machine with or without a GPU: registers, stack, spills, shared memory.

NVRTC compiles to machine code without a device, and its assembler reports what each kernel uses. The disassembly shows a second
time whether a kernel uses local memory, which is slow. NVRTC is called through CuPy, without the parts that need a device.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...interface import UnavailableError
from ..source import KERNELS, OPTIONS, definitions, gpu_source

NVDISASM = "nvidia-cuda-nvdisasm"
"""The package that brings the disassembler."""

MAX_ERRORS = 5
"""Lines of the compiler's output in an error message."""


class KernelCompileError(Exception):
    """A kernel file does not compile. The message has the compiler's first errors, with file and line."""


@dataclass(frozen=True)
class KernelReport:
    """What one kernel uses, including the functions that it calls."""

    kernel: str
    registers: int
    """Of a thread"""
    stack_bytes: int
    """Local memory of a thread"""
    spill_bytes: int
    """Local memory of a thread: the bytes of its spill stores and spill loads"""
    static_shared_bytes: int
    """Of a block, without the dynamic shared memory of a launch"""
    barriers: int
    """Of a block"""


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel file."""

    reports: dict[str, KernelReport]
    """By the kernel's name"""
    cubin: bytes
    """The whole image, an ELF file"""


def supported_architectures() -> list[str]:
    """The architectures of NVRTC, oldest first: "sm_80", ... Raises UnavailableError without CuPy or NVRTC."""
    return [f"sm_{number}" for number in sorted(_nvrtc().getSupportedArchs())]


def compile_kernels(file: str, precision: str, sizes: Mapping[str, int], arch: str, folder: Path = KERNELS) -> Compiled:
    """Compile `folder`/`file`.cu for an architecture, with the SIZEs of the file.

    arch: one of supported_architectures(), or one of them with the letter of its own features ("sm_90a").
    Raises ValueError for an architecture that the compiler does not know, KernelCompileError where the file does not compile,
    FileNotFoundError where it is not there, and UnavailableError without CuPy or NVRTC.
    """
    nvrtc, known = _nvrtc(), supported_architectures()
    unknown = ValueError(f"unknown architecture {arch!r}; known: {', '.join(known)}")
    if re.sub(r"(?<=\d)[a-z]$", "", arch) not in known:
        raise unknown
    program = nvrtc.createProgram(gpu_source(file, folder), f"{file}.cu", [], [])
    try:
        options = (f"--gpu-architecture={arch}", *OPTIONS, "--ptxas-options=-v", *definitions(precision, sizes))
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError:
            log = nvrtc.getProgramLog(program)
            if "nv_arch" in log:  # a letter that this architecture does not have
                raise unknown from None
            raise KernelCompileError(f"{file}.cu, {precision}, {arch}:\n{_first_errors(log)}") from None
        return Compiled(_reports(nvrtc.getProgramLog(program)), _whole(nvrtc.getCUBIN(program)))
    finally:
        nvrtc.destroyProgram(program)


def disassembly(cubin: bytes) -> str:
    """The machine code of an image as text, an instruction a line.

    Raises UnavailableError without nvdisasm, ValueError where it cannot read the image.
    """
    tool = _nvdisasm()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.cubin"
        image.write_bytes(cubin)
        command = [
            tool,
            "--print-code",
            "--no-dataflow",
            str(image),
        ]  # the dataflow analysis takes long, and only adds annotations
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"nvdisasm cannot read the image: {done.stderr.strip().replace(str(image), image.name)}")
    return done.stdout


def local_memory_instructions(text: str) -> list[str]:
    """The lines of a disassembly that load from local memory or store to it (LDL, STL), without their indentation."""
    return [line.strip() for line in text.splitlines() if re.search(r"^\s*/\*[0-9a-f]+\*/.*\b(?:LDL|STL)\b", line)]


def _nvrtc() -> Any:
    """CuPy's binding of NVRTC, with the library loaded."""
    hint = "pip install cupy-cuda13x nvidia-cuda-nvrtc"
    try:
        from cupy_backends.cuda.libs import nvrtc
    except ImportError as error:
        raise UnavailableError(f"CuPy cannot be imported ({error})", hint) from error
    try:
        nvrtc.getVersion()  # the first call loads the library
    except RuntimeError as error:
        why, _, _ = str(error).partition("\n")
        raise UnavailableError(f"CuPy does not find NVRTC ({why})", hint) from error
    return nvrtc


def _nvdisasm() -> str:
    """The path of the disassembler: in its package, else on the PATH."""
    try:
        files = importlib.metadata.files(NVDISASM) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    packaged = (str(file.locate()) for file in files if file.name in ("nvdisasm", "nvdisasm.exe"))
    found = next(packaged, None) or shutil.which("nvdisasm")
    if found is None:
        raise UnavailableError("nvdisasm is neither installed nor on the PATH", f"pip install {NVDISASM}")
    return found


def _reports(log: str) -> dict[str, KernelReport]:
    """By kernel, from the assembler's output; a kernel's own lines come before those of the functions that it calls."""
    _, *parts = re.split(r"Compiling entry function '(\w+)'", log)

    def numbers(pattern: str, text: str) -> list[int]:
        return [int(number) for number in re.findall(rf"(\d+) {pattern}", text)]

    return {
        kernel: KernelReport(
            kernel=kernel,
            registers=numbers("registers", text)[0],
            stack_bytes=max(numbers("bytes stack frame", text) + numbers("bytes cumulative stack size", text)),
            spill_bytes=sum(numbers("bytes spill", text)),
            static_shared_bytes=sum(numbers("bytes smem", text)),
            barriers=sum(numbers("barriers", text)),
        )
        for kernel, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _first_errors(log: str) -> str:
    """The lines of a compiler's log that begin an error; its first lines if none does."""
    lines = [line.strip() for line in log.strip("\0\n").splitlines()]
    errors = [line for line in lines if re.search(r"\b(?:error|fatal)\s*:", line)]
    return "\n".join((errors or lines)[:MAX_ERRORS])


def _whole(cubin: bytes) -> bytes:
    """The image with its last byte, which CuPy drops: it takes the image for a C string that ends with 0.

    An ELF image ends with one of its two header tables, whose last byte is the high byte of a size or an alignment: 0.
    """
    program_table, section_table, _, _, *entries = struct.unpack_from("<QQIHHHHH", cubin, 32)
    program_size, programs, section_size, sections = entries
    end = max(program_table + program_size * programs, section_table + section_size * sections)
    return cubin.ljust(end, b"\0")
