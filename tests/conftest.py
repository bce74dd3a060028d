"""What tests of a backend by the property suite share, and the catalogues of dishonest backends."""

import ast
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from lstm_parity.backends import UnavailableError, load_backend
from lstm_parity.harness.records import TIMED
from lstm_parity.harness.verify.isolation import steady
from lstm_parity.harness.verify.results import Options
from lstm_parity.harness.verify.suite import run_check

EXAMPLES, CALLS = 5, 500
"""Fewer calls of `memory-steady`: what Python asks for now and then, a few KiB, looks like a leak of 100 bytes a call."""


def pytest_configure():
    # A shell that starts the tests in the background lets them, and what they start, ignore Ctrl-C, which some of them send.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=3, help="how often a sweep is killed at a random moment (default: 3)")


@pytest.fixture(scope="session")
def backend_of():
    """The class of a backend by name; skips the test where it cannot run."""

    def found(name):
        try:
            backend = load_backend(name)
        except UnavailableError as error:
            pytest.skip(f"UNVERIFIED: {error}")
        if unavailable := backend.unavailable():
            pytest.skip(f"UNVERIFIED: {unavailable}")
        return backend

    return found


@pytest.fixture(scope="session")
def holds():
    """Asserts that a check finds nothing, at a depth that fits every test run; skips what is not promised."""

    def look(check, name, executor, promises, examples=EXAMPLES):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(steady, "CALLS", CALLS)
            patch.setattr(steady, "LIMIT_S", 300.0)  # other processes may slow the calls down
            found = run_check(check, name, executor, promises, Options(examples=examples, shrink=False))
        if found.status == "SKIP":
            pytest.skip(found.reason)
        assert found.status == "PASS", found.reason

    return look


@dataclass(frozen=True)
class Entry:
    """A dishonest or honest backend in a file of its own, which is read and not imported."""

    path: Path
    does: str | None
    """The docstring."""
    constants: dict

    @property
    def name(self):
        return self.path.stem

    @property
    def honest(self):
        return self.path.parent.name == "honest"

    @property
    def backend(self):
        return f"{self.path}:{'Honest' if self.honest else 'Cheat'}"

    @property
    def statuses(self):
        """STATUS, one or more; "TIMED" for a cheat without effect, which is timed in full."""
        said = "TIMED" if self.honest else self.constants["STATUS"]
        return TIMED if said == "TIMED" else (said,) if isinstance(said, str) else said

    @property
    def reason(self):
        """REASON, a pattern for the whole of it."""
        return self.constants.get("REASON", ".*")

    @property
    def mode(self):
        """MODE, of the cell."""
        return self.constants.get("MODE", "inference")

    @property
    def own_process(self):
        """OWN_PROCESS: it changes or ends the process that it runs in."""
        return self.constants.get("OWN_PROCESS", False)


def read_entry(path):
    tree, constants = ast.parse(path.read_text(encoding="utf-8")), {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names = [name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)]
            try:
                value = ast.literal_eval(node.value)
            except ValueError:  # not a constant
                continue
            constants |= dict(zip(names, value if isinstance(node.targets[0], ast.Tuple) else [value], strict=True))
    return Entry(path, ast.get_docstring(tree), constants)


def read_catalogue(folder):
    """What is in the folders dishonest/ and honest/ beside a test, but for what these files share."""
    files = [path for kind in ("dishonest", "honest") for path in sorted((folder / kind).glob("*.py"))]
    return [read_entry(path) for path in files if path.name != "cheating.py"]


@pytest.fixture(scope="module")
def catalogue(request):
    return read_catalogue(request.path.parent)


def pytest_generate_tests(metafunc):
    if "entry" in metafunc.fixturenames:
        metafunc.parametrize("entry", read_catalogue(Path(metafunc.module.__file__).parent), ids=lambda entry: entry.name)


@pytest.fixture(scope="session")
def build():
    """Builds an sdist or a wheel of a folder without an environment of its own, as nothing can be downloaded here."""
    pytest.importorskip("hatchling", reason="UNVERIFIED: hatchling is not installed")

    def start(folder, target, output):
        words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", output]
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)

    return start


@pytest.fixture(scope="session")
def built(build):
    """Builds, and gives the file."""

    def start(folder, target, output):
        done = build(folder, target, output)
        assert done.returncode == 0, done.stderr
        (file,) = output.iterdir()
        return file

    return start


@pytest.fixture(scope="session")
def wheel(built, tmp_path_factory):
    """The wheel of this checkout."""
    return built(Path(__file__).resolve().parent.parent, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def site(wheel, tmp_path_factory):
    """A folder into which the wheel is installed: with PYTHONPATH, it comes before any checkout."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder
