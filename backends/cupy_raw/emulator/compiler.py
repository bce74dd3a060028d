"""Finds a C++ compiler, compiles shared libraries with it, and caches them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

NAMES = ("c++", "g++", "clang++")
FLAGS = (
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-strict-aliasing",
    "-ffp-contract=off",  # the same results on every processor
    "-Wno-unknown-pragmas",
    *(("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()),
)
MAX_FRAME_BYTES = 16384
"""Local variables of one function: a fiber's stack has 45,888 bytes."""
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


class CompileError(Exception):
    """A source did not compile. The message has the first lines of the compiler's output, and the command."""


def compiler() -> tuple[str, ...] | None:
    """The command that compiles C++ here; None if there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return (path,)
    return (sys.executable, "-m", "ziglang", "c++") if find_spec("ziglang") else None


def default_cache() -> Path:
    """The cache of compiled libraries, shared by all projects of this user."""
    return Path.home() / ".cache" / "lstm-parity" / "emulator"


def compile_library(source: Path, include: Sequence[Path], flags: Sequence[str], cache: Path) -> Path:
    """The shared library of `source`, compiled unless it is in `cache`.

    Raises CompileError, and leaves no file, if it does not compile.
    """
    command = compiler()
    if command is None:
        raise CompileError(f"no C++ compiler ({', '.join(NAMES)}) to compile {source.name} with")
    options = [*FLAGS, *_processor_flags(), *_frame_limit(command), *flags]
    digest = hashlib.sha256(repr((_version(command), options)).encode())
    for text in source_texts(source, include).values():
        digest.update(text)
    name = f"{source.stem}-{digest.hexdigest()[:32]}.so"
    if (cache / name).exists():
        return cache / name
    folder = _writable(cache)
    target = folder / name
    with _lock(folder / f"{name}.lock"):
        if not target.exists():
            _compile([*command, *options, *(f"-I{folder}" for folder in include), "-x", "c++", str(source)], target)
    return target


def source_texts(source: Path, include: Sequence[Path]) -> dict[Path, bytes]:
    """The text of `source` and of each header that it includes by `#include "..."`, each once."""
    texts: dict[Path, bytes] = {}

    def read(path: Path) -> None:
        if path in texts:
            return
        texts[path] = path.read_bytes()
        for name in _INCLUDE.findall(texts[path].decode(errors="replace")):
            found = next((folder / name for folder in (path.parent, *include) if (folder / name).is_file()), None)
            if found is not None:
                read(found)

    read(source)
    return texts


def _compile(command: list[str], target: Path) -> None:
    handle, temporary = tempfile.mkstemp(suffix=".so", prefix="unfinished-", dir=target.parent)
    os.close(handle)
    try:
        full = [*command, "-x", "none", "-lm", "-o", temporary]
        done = subprocess.run(full, capture_output=True, text=True, check=False)
        if done.returncode:
            output = "\n".join((done.stderr or done.stdout).splitlines()[:20])
            raise CompileError(f"{Path(command[-1]).name} does not compile:\n{output}\nThe command was: {' '.join(full)}")
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


@functools.cache
def _processor_flags() -> tuple[str, ...]:
    """Makes a fused multiply-add an instruction where this processor has it; else it is a call."""
    with contextlib.suppress(OSError):
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if flags and "fma" in flags[1].split():
            return ("-mfma",)
    return ()


def _frame_limit(command: tuple[str, ...]) -> tuple[str, ...]:
    """Makes a function whose local variables would not fit on a fiber's stack an error."""
    if "clang" in _version(command) or "ziglang" in command:
        return (f"-Wframe-larger-than={MAX_FRAME_BYTES}", "-Werror=frame-larger-than=")
    return (f"-Werror=frame-larger-than={MAX_FRAME_BYTES}",)


@functools.cache
def _version(command: tuple[str, ...]) -> str:
    if "ziglang" in command:
        with contextlib.suppress(PackageNotFoundError):
            return f"ziglang {version('ziglang')}"
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return f"{command} {done.stdout}"


def _writable(cache: Path) -> Path:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return cache
    except OSError as error:
        return _instead_of(cache, str(error))


@functools.cache
def _instead_of(cache: Path, error: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lstm-parity-emulator-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.stderr.write(f"lstm-parity: cannot write to {cache} ({error}): compiled kernels are kept until this process ends\n")
    return folder


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time, where the file system can lock: the others wait, and then find the library in the cache."""
    descriptor = None
    try:
        import fcntl

        while descriptor is None:
            candidate = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(candidate, fcntl.LOCK_EX)
            try:
                mine = os.path.samestat(os.fstat(candidate), path.stat())
            except FileNotFoundError:
                mine = False  # its last owner has removed it
            if mine:
                descriptor = candidate
            else:
                os.close(candidate)
    except (ImportError, OSError):
        descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)
