"""What is built holds every file that it should and no other, and clashes with no package of the project that it is used in."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("backends", "harness", "reports")
"""The folders that lstm_parity/ links to."""


@pytest.fixture(scope="session")
def sdist(built, tmp_path_factory):
    return built(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def unpacked(sdist, tmp_path_factory):
    """The folder that the sdist holds."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="session")
def checked_in():
    """Files that git tracks, or would if they were added, and that exist; each under every path that leads to it."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("UNVERIFIED: this is no git checkout")
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = {name for name in listed if (ROOT / name).is_file()}
    return files | {f"lstm_parity/{name}" for name in files if name.partition("/")[0] in PACKAGES}


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_sdist_holds_what_is_checked_in(unpacked, checked_in):
    included = CONFIG["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert set(included) >= {"lstm_parity", *PACKAGES, "tests"}
    expected = {name for name in checked_in if name.partition("/")[0] in included}
    assert len(expected) > 600
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert found - {"PKG-INFO", "pyproject.toml", ".gitignore"} == expected


def test_the_wheel_holds_the_program(wheel, checked_in):
    expected = {name for name in checked_in if name.startswith("lstm_parity/")}
    expected -= {name for name in expected if name.startswith("lstm_parity/reports/published/")}
    assert len(expected) > 250
    assert names_in(wheel) == expected


def test_a_wheel_from_the_sdist_is_the_same(built, wheel, unpacked, tmp_path):
    assert names_in(built(unpacked, "wheel", tmp_path)) == names_in(wheel)


@pytest.mark.parametrize(("name", "target"), [("backends", "wheel"), ("harness", "sdist"), ("reports", "wheel")])
def test_a_clone_without_links_is_refused(build, unpacked, tmp_path, name, target):
    """As git writes a link where core.symlinks is false: a file that holds the link's target."""
    clone = tmp_path / "clone"
    shutil.copytree(unpacked, clone, ignore=shutil.ignore_patterns("tests", "published"))
    shutil.rmtree(clone / "lstm_parity" / name)
    (clone / "lstm_parity" / name).write_text(f"../{name}")
    done = build(clone, target, tmp_path / "dist")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"lstm_parity/{name} is not a link to ../{name}: ")
    assert "git config core.symlinks true" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "dist").glob("*"))


MINE = """\
from lstm_parity.backends.numpy_lstm import NumpyLSTM
import backends, harness, reports
assert (backends.OWNER, harness.OWNER, reports.OWNER) == ("theirs",) * 3

class MyLSTM(NumpyLSTM):
    pass
"""
TESTS = """\
import backends, harness, reports
import lstm_parity
from lstm_parity.testing import parity_tests

test_parity = parity_tests("mine.py:MyLSTM", examples=1)

def test_each_package_is_its_owners():
    assert (backends.OWNER, harness.OWNER, reports.OWNER) == ("theirs",) * 3
    assert lstm_parity.__file__ == {init!r}
"""
TINY = """\
backends = ["numpy", "mine.py:MyLSTM"]
budget = 0.05
[[grid]]
sequence_length = 3
batch_size = 2
hidden_size = 4
"""


@pytest.fixture(scope="session")
def outside(site, tmp_path_factory):
    """Another project with packages called backends, harness and reports, and the wheel installed next to it."""
    project = tmp_path_factory.mktemp("project")
    for name in PACKAGES:
        (project / name).mkdir()
        (project / name / "__init__.py").write_text('OWNER = "theirs"\n')
    (project / "mine.py").write_text(MINE)
    (project / "test_mine.py").write_text(TESTS.format(init=str(site / "lstm_parity" / "__init__.py")))
    (project / "tiny.toml").write_text(TINY)

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(
            [sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_parity_tests_run_in_a_project_with_packages_of_the_same_names(outside):
    some = "owners or row-alone or gradients-float32"
    for import_mode in ("prepend", "importlib"):
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode", import_mode, "-k", some, "test_mine.py"]
        code, out, _ = outside(*words, *(["-o", "pythonpath=."] if import_mode == "importlib" else []))
        assert code == 0, out
        assert "4 passed" in out, out


def test_verify_and_sweep_run_in_a_project_with_packages_of_the_same_names(outside):
    code, out, err = outside("-m", "lstm_parity", "verify", "mine.py:MyLSTM", "--only", "row-alone", "--examples", "1")
    assert (code, "mine.py:MyLSTM: " in out) == (0, True), out + err
    patch = "import sys, lstm_parity.harness.sweep.run as r; r.measure_peaks = lambda threads, cuda: {('none', 'copy'): 1.0}"
    main = "from lstm_parity.harness.cli import main; sys.exit(main())"
    code, _, err = outside("-c", f"{patch}; {main}", "sweep", "tiny.toml")
    assert code == 0, err
