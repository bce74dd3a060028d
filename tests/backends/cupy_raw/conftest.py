"""The double of a GPU; its file is loaded by path, as tests are no package."""

import importlib.util
import sys
from pathlib import Path

import pytest

from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.gpu import cublas
from lstm_parity.backends.cupy_raw.gpu import machine as gpu_machine


@pytest.fixture(scope="session")
def gpu_double():
    spec = importlib.util.spec_from_file_location("gpu_double", Path(__file__).with_name("gpu_double.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_gpu(gpu_double, monkeypatch):
    """Puts the double of a GPU in place of CuPy and cuBLAS; returns it."""
    if unavailable := Emulator.unavailable():
        pytest.skip(f"UNVERIFIED: {unavailable}")

    def forget():
        for kept in (gpu_machine._kernel, gpu_machine._device):
            kept.cache_clear()

    def make(**properties):
        gpu = gpu_double.GPU(**properties)
        forget()
        monkeypatch.setitem(sys.modules, "cupy", gpu.cupy)
        monkeypatch.setattr(cublas, "_library", lambda: gpu.cublas)
        return gpu

    yield make
    forget()


@pytest.fixture
def gpu(make_gpu):
    return make_gpu()
