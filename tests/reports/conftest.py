import importlib.util
from pathlib import Path

import pytest

# these import altair; the other modules skip test by test, with a reason
collect_ignore = [] if importlib.util.find_spec("altair") else ["test_history.py", "test_parts.py"]


def by_path(name):
    """A module of this folder; loaded by path, as tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def synthetic():
    """The module that draws result rows."""
    return by_path("synthetic_rows")


@pytest.fixture(scope="session")
def page_reader():
    """The module that reads a page back."""
    return by_path("page_reader")


@pytest.fixture(scope="session")
def rich(synthetic):
    """The data of a store that holds something of everything."""
    return by_path("rich_store").rich_data(synthetic)


@pytest.fixture(scope="session")
def rich_report(rich, tmp_path_factory):
    """The report of that store: its folder and its verdict."""
    needs_report_extra()
    from lstm_parity.reports import build

    out = tmp_path_factory.mktemp("rich") / "report"
    return out, build.write_report(rich, out)


@pytest.fixture
def report_extra():
    needs_report_extra()


def needs_report_extra():
    for name in ("altair", "jinja2", "vl_convert"):
        pytest.importorskip(name, reason="the extra 'report' is not installed")


@pytest.fixture
def no_charts(report_extra, monkeypatch):
    """Reports of sentences and tables alone: most of the time goes into the charts."""
    monkeypatch.setattr("lstm_parity.reports.page.content.make_charts", lambda _found: {})


@pytest.fixture
def quick_pictures(report_extra, monkeypatch):
    """Charts without their pictures."""
    monkeypatch.setattr("vl_convert.vegalite_to_svg", lambda *_args, **_options: "<svg></svg>")
