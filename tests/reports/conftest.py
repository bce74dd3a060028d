import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def synthetic():
    """The module that draws result rows; loaded by path, as tests are no package."""
    spec = importlib.util.spec_from_file_location("synthetic_rows", Path(__file__).with_name("synthetic_rows.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def report_extra():
    for name in ("altair", "jinja2", "vl_convert"):
        pytest.importorskip(name, reason="the extra 'report' is not installed")
