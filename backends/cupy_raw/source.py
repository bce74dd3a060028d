"""The source text of the kernels for a GPU's compiler, and its options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..problem import STORAGE

KERNELS = Path(__file__).parent / "kernels"
"""The project's own kernels."""

OPTIONS = ("-std=c++17", "-ftz=true")
"""Of every kernel. CuPy adds the second by itself; the error bounds allow for it (harness/oracle/certificate.py)."""

_INCLUDE = re.compile(r'^#include "(?P<name>[^"]+)"$', re.MULTILINE)


def gpu_source(file: str, folder: Path = KERNELS) -> str:
    """The text of `folder`/`file`.cu with every header in place of its first #include, so that it compiles without other files.

    Raises FileNotFoundError for a file that is not there.
    """
    included: set[str] = set()

    def text_of(name: str) -> str:
        text = (folder / name).read_text(encoding="utf-8").replace("#pragma once\n", "\n")
        found, line = [f'#line 1 "{name}"\n'], 1
        for part in text.splitlines(keepends=True):
            line += 1
            include = _INCLUDE.match(part)
            if include is None:
                found.append(part)
            elif include["name"] != "emulated.cuh" and include["name"] not in included:
                included.add(include["name"])
                found.append(f'{text_of(include["name"])}\n#line {line} "{name}"\n')
        return "".join(found)

    return text_of(f"{file}.cu")


def definitions(precision: str, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """The macros of a precision and of the SIZEs, which are compile-time constants on a GPU.

    Raises ValueError for an unknown precision, which the headers would compile as float32.
    """
    if precision not in STORAGE:
        raise ValueError(f"precision must be one of {', '.join(STORAGE)}, not {precision!r}")
    return (f"-DPRECISION_{precision}=1", *(f"-DSIZE_{name}={value}" for name, value in sorted(sizes.items())))
