"""What torch-cpu and torch-cudnn say before torch is imported, and on machines that lack something."""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lstm_parity.backends.torch_lstm import TorchCPULSTM, TorchCuDNNLSTM, _built_for_cuda

LISTING = """
from lstm_parity.backends.torch_lstm import TorchCPULSTM, TorchCuDNNLSTM
for backend in (TorchCPULSTM, TorchCuDNNLSTM):
    backend.capabilities, backend.unavailable()
assert "torch" not in sys.modules
"""

PROJECTED_CALL = """
import numpy as np
from lstm_parity.backends.problem import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
spec = LSTMSpec(1, 2, proj_size=1)
one = DirectionWeights(**{n: np.ones(s, np.float32) for n, s in spec.weight_shapes(0).items() if s})
import torch
import warnings
warnings.simplefilter("error")
lstm = TorchCPULSTM(spec, LSTMWeights(((one,),)))
lstm.forward(torch.ones(1, 1, 1), LSTMState(torch.ones(1, 1, 1), torch.ones(1, 1, 2)))
"""


def run_fresh(code: str) -> None:
    """Run code in a Python of its own, which finds what this one finds; its traceback is the failure."""
    start = f"import sys\nsys.path[:] = {sys.path!r}\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_listing_needs_no_torch() -> None:
    run_fresh(LISTING)


def test_projection_warns_of_nothing() -> None:
    # in a process of its own: PyTorch would warn once a process, perhaps long before this test
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    run_fresh(LISTING + PROJECTED_CALL)


@pytest.mark.parametrize(
    ("line", "expected_answer"),
    [
        ("cuda: Optional[str] = None", False),
        ("cuda: Optional[str] = '13.0'", True),
        ("cuda = '12.8'", True),
        ("cuda = None", False),
        ("", False),
    ],
)
def test_the_build_of_torch_is_read_off_its_version_file(tmp_path: Path, line: str, expected_answer: bool) -> None:
    file = tmp_path / "version.py"
    file.write_text(f"__version__ = '2.13.0'\ndebug = False\n{line}\nhip: Optional[str] = None\n")
    assert _built_for_cuda(file) is expected_answer


def driver(init: int = 0, count_code: int = 0, devices: int = 1) -> Any:
    def get_count(pointer: Any) -> int:
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = devices
        return count_code

    return SimpleNamespace(cuInit=lambda _: init, cuDeviceGetCount=get_count)


@pytest.mark.parametrize(
    ("installed", "cuda", "library", "reason"),
    [
        (False, True, driver(), "torch is not installed"),
        (True, False, driver(), "built without CUDA"),
        (True, True, None, "no NVIDIA driver"),
        (True, True, driver(init=100), r"cuInit returns 100"),
        (True, True, driver(count_code=3), r"cuDeviceGetCount returns 3"),
        (True, True, driver(devices=0), "sees no GPU"),
        (True, True, driver(), None),
    ],
)
def test_unavailable_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool, cuda: bool, library: Any, reason: str | None
) -> None:
    def load(name: str) -> Any:
        if library is None:
            raise OSError(f"{name}: cannot open shared object file")
        return library

    (tmp_path / "version.py").write_text(f"cuda: Optional[str] = {'13.0' if cuda else None!r}\n")
    found = SimpleNamespace(origin=str(tmp_path / "__init__.py")) if installed else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    monkeypatch.setattr(ctypes, "CDLL", load)
    answer = TorchCuDNNLSTM.unavailable()
    assert (TorchCPULSTM.unavailable() is None) is installed
    if reason is None:
        assert answer is None
    else:
        assert answer is not None
        assert reason in answer
        assert "\n" not in answer
