"""A repository whose revisions have the folder `backends` under different package names."""

import shutil
import subprocess
from pathlib import Path

import pytest

import lstm_parity

BACKENDS = Path(lstm_parity.__file__).parent / "backends"
TARGETS = {"old": '"backends.', "new": '"lstm_parity.backends.', "package": 'f"{__package__}.'}
"""How a registry names its classes: literally by the name before or by the present one, or after the package that it is in."""


def git(folder, *words):
    identity = ["-c", "user.name=x", "-c", "user.email=x"]
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


@pytest.fixture(scope="session")
def layouts(tmp_path_factory):
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
        if tag == "new":
            (folder / "lstm_parity").mkdir()
            shutil.copy(BACKENDS.parent / "__init__.py", folder / "lstm_parity")
            (folder / "lstm_parity" / "backends").symlink_to("../backends")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", tag)
        git(folder, "tag", tag)
    return folder
