"""The four tools of compute-sanitizer on both plans, where it is installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_parity
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.backends.problem import STORAGE

pytestmark = pytest.mark.gpu
ROOT = Path(lstm_parity.__file__).resolve().parent.parent
PROGRAM = Path(__file__).with_name("both_plans.py")
ERROR_EXIT_CODE = 86
LIMIT_S = 900.0
TOOL_FAILED = "Internal Sanitizer Error"
OUR_KERNELS = [
    name for file in sorted(KERNELS.glob("*.cu")) for name in re.findall(r"__global__[^;{]*?(\w+)\(\n", file.read_text())
]


def sanitizer():
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/cuda/bin"))
    return shutil.which("compute-sanitizer", path=path)


def command(tool, precision):
    arguments = [sanitizer(), "--tool", tool, "--error-exitcode", str(ERROR_EXIT_CODE), "--launch-timeout", "300"]
    program = [sys.executable, str(PROGRAM), precision]
    if tool == "memcheck":  # libraries make CUDA calls that fail, to find out what is supported
        arguments += ["--report-api-errors", "no"]
    if tool == "initcheck":  # it must see every write, and takes cuBLAS's results for uninitialised
        return [*arguments, *program, "own-products"]
    return [*arguments, *[word for name in OUR_KERNELS for word in ("--kernel-name", f"kne={name}")], *program]


@pytest.mark.parametrize("precision", STORAGE)
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
def test_the_sanitizer_finds_nothing(tool, precision, backend_of):
    backend_of("cupy-raw")
    if sanitizer() is None:
        pytest.skip("UNVERIFIED: compute-sanitizer is not installed")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        command(tool, precision),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if TOOL_FAILED in done.stdout:
        pytest.skip(f"UNVERIFIED: {tool} itself fails: {TOOL_FAILED}")
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
