"""NAME@REVISION loads the revision's own backends, whatever the package was called there and whichever module defines what."""

import pickle
import shutil
import subprocess
from pathlib import Path

import pytest

import lstm_parity
from lstm_parity.backends import Capabilities, LSTMSpec
from lstm_parity.harness.compare.revision import checked_out
from lstm_parity.harness.worker.answers import read_answer
from lstm_parity.harness.worker.client import WorkerClient, WorkerError
from lstm_parity.harness.worker.messages import Describe, Description
from lstm_parity.harness.worker.server import Server, read_message

BACKENDS = Path(lstm_parity.__file__).parent / "backends"
TARGETS = {"package": 'f"{__package__}.', "new": '"lstm_parity.backends.', "old": '"backends.'}
"""How a registry names its classes: after the package that it is in, or literally, by the present name or the one before."""


def git(folder, *words):
    identity = ["-c", "user.name=x", "-c", "user.email=x"]
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A commit and tag for each of TARGETS, told apart by the largest hidden size that its NumPy backend promises."""
    folder = tmp_path_factory.mktemp("layouts")
    git(folder, "init", "-q")
    shutil.copytree(BACKENDS, folder / "backends", ignore=shutil.ignore_patterns("cupy_raw", "weights", "__pycache__"))
    texts = {name: (folder / "backends" / name).read_text() for name in ("registry.py", "numpy_lstm.py")}
    assert TARGETS["package"] in texts["registry.py"]
    assert "num_layers=None" in texts["numpy_lstm.py"]
    for number, (tag, start) in enumerate(TARGETS.items(), 1):
        (folder / "backends" / "registry.py").write_text(texts["registry.py"].replace(TARGETS["package"], start))
        size = f"num_layers=None, max_hidden_size={number}000"
        (folder / "backends" / "numpy_lstm.py").write_text(texts["numpy_lstm.py"].replace("num_layers=None", size))
        if tag != "old":
            (folder / "lstm_parity").mkdir(exist_ok=True)
            shutil.copy(BACKENDS.parent / "__init__.py", folder / "lstm_parity")
            if not (folder / "lstm_parity" / "backends").is_symlink():
                (folder / "lstm_parity" / "backends").symlink_to("../backends")
        else:
            shutil.rmtree(folder / "lstm_parity")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", tag)
        git(folder, "tag", tag)
    return folder


def promises(text):
    with checked_out(text) as version:
        client = WorkerClient(Server, version.launch.backend, 1, version.launch.module_path)
        try:
            return client.ask(Describe(), 60.0).capabilities
        finally:
            client.close()


@pytest.mark.parametrize(("tag", "size"), [("package", 1000), ("new", 2000), ("old", 3000)])
def test_the_class_is_that_of_the_revision(repository, monkeypatch, tag, size):
    monkeypatch.chdir(repository)
    assert promises(f"numpy@{tag}").max_hidden_size == size


def test_another_projects_package_called_backends_is_not_taken_for_ours(repository, tmp_path, monkeypatch):
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "__init__.py").write_text("")
    (tmp_path / "backends" / "registry.py").write_text("BUILT_IN = {}")
    (tmp_path / "mine.py").write_text("from lstm_parity.backends.numpy_lstm import NumpyLSTM\nclass X(NumpyLSTM): pass\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "theirs")
    monkeypatch.chdir(tmp_path)
    assert promises("mine:X@HEAD") == promises("numpy")
    with pytest.raises(WorkerError, match="unknown backend 'nunpy'"):
        promises("nunpy")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_class_of_the_interface_is_found_by_its_public_name(elsewhere):
    """The other side of the pipe may have another revision, in which another module defines it."""

    def pickled(value, kind):
        name = kind.__module__.rpartition(".")[2].encode()
        data = pickle.dumps(value)
        assert name in data
        return data.replace(name, name[::-1]) if elsewhere else data  # of the same length

    spec, description = LSTMSpec(3, 4), Description(Capabilities(num_layers=7), None)
    assert read_message(pickled(spec, LSTMSpec)) == spec
    assert read_answer(pickled(description, Capabilities), Description) == description
