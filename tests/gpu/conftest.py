"""Tests that need a CUDA device; without one, each is skipped at once."""

import pytest

from lstm_parity.backends.nvidia_driver import why_no_device
from lstm_parity.harness.machine.host import gpu_names


@pytest.fixture(scope="session", autouse=True)
def gpu_name():
    """Name of the first GPU."""
    if reason := why_no_device():
        pytest.skip(f"UNVERIFIED: {reason}")
    return gpu_names()[0]


def pytest_collection_modifyitems(items):
    """Tests of results run before those of times."""
    items.sort(key=lambda item: item.path.name == "test_presets.py")
