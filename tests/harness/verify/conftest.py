"""A small backend, and commands in an empty folder."""

from pathlib import Path

import pytest

from lstm_parity.backends import load_backend
from lstm_parity.harness.cli import main


@pytest.fixture
def plain():
    """The class in plain_backend.py."""
    return load_backend(f"{Path(__file__).parent / 'plain_backend.py'}:Plain")


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(capfd):
    """Runs a command that must be refused with one line, which it returns."""

    def run(arguments):
        try:
            code = main(arguments)
        except SystemExit as error:
            code = error.code
        err = capfd.readouterr().err
        assert code == 2
        assert len(err.strip().splitlines()) == 1, err
        return err

    return run
