"""NAME@REVISION loads the revision's own backends, whatever the package was called there and whichever module defines what."""

import pickle
import subprocess

import pytest

import lstm_parity
from lstm_parity.backends import Capabilities, LSTMSpec
from lstm_parity.harness.compare.revision import checked_out
from lstm_parity.harness.worker.client import WorkerClient, WorkerError
from lstm_parity.harness.worker.messages import Describe, Description, read_answer, read_message
from lstm_parity.harness.worker.server import Server


def git(folder, *words):
    identity = ["-c", "user.name=x", "-c", "user.email=x"]
    return subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True).stdout


def promises(text):
    with checked_out(text) as version:
        client = WorkerClient(Server, version.worker.backend, 1, version.worker.module_path)
        try:
            return client.ask(Describe(), 60.0).capabilities
        finally:
            client.close()


@pytest.mark.parametrize(("tag", "size"), [("old", 1000), ("new", 2000), ("package", 3000)])
def test_the_class_is_that_of_the_revision(layouts, monkeypatch, tag, size):
    monkeypatch.chdir(layouts)
    assert promises(f"numpy@{tag}").max_hidden_size == size


def test_changes_of_the_working_tree_are_seen_through_the_link(layouts, monkeypatch):
    monkeypatch.setattr(lstm_parity, "__file__", str(layouts / "lstm_parity" / "__init__.py"))
    monkeypatch.chdir("/")
    head = git(layouts, "rev-parse", "HEAD")
    file = layouts / "backends" / "numpy_lstm.py"
    before = file.read_text()
    for text, changed in ((before, False), (before + "# more\n", True)):
        file.write_text(text)
        with checked_out("numpy") as version:
            assert (version.commit, version.changed) == (head.strip(), changed)
    file.write_text(before)


def test_another_projects_package_called_backends_is_not_taken_for_ours(layouts, tmp_path, monkeypatch):
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
