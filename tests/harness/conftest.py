"""A bench for sweeps: a folder with backend files, a tiny sweep, and a store that knows the machine's peaks already."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_parity
from lstm_parity.harness.machine.host import cpu_count, cpu_name, fingerprint, machine_id
from lstm_parity.harness.store import Store

ROOT = Path(lstm_parity.__file__).resolve().parent.parent
TINY = """\
title = "tiny"
budget = {budget}
backends = {backends}
[[grid]]
sequence_length = {steps}
mode = "{mode}"
batch_size = 2
input_size = 3
hidden_size = 4
"""


class Bench:
    """Runs the command line in a folder of its own, with the store `s.sqlite` there."""

    def __init__(self, folder, prepared):
        self.folder, self.store, self.temporary = folder, folder / "s.sqlite", folder / "temporary"
        self._prepared = prepared
        self.temporary.mkdir(parents=True)
        shutil.copy(prepared, self.store)

    def fresh_store(self):
        shutil.copy(self._prepared, self.store)

    def file(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return name

    def tiny(self, backends=("numpy",), steps=(2, 3), budget=0.05, mode="inference", name="tiny.toml"):
        listed = "[" + ", ".join(f'"{b}"' for b in backends) + "]"
        return self.file(name, TINY.format(backends=listed, steps=list(steps), budget=budget, mode=mode))

    def environment(self):
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self.temporary)}

    def command(self, *words, patch=""):
        """patch: Python that runs before the command, to shorten a limit."""
        if not patch:
            return [sys.executable, "-m", "lstm_parity", *map(str, words)]
        return [
            sys.executable,
            "-c",
            f"import sys\n{patch}\nfrom lstm_parity.harness.cli import main\nsys.exit(main())",
            *map(str, words),
        ]

    def start(self, *words, patch="", **options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen(self.command(*words, patch=patch), cwd=self.folder, env=self.environment(), **pipes)

    def run(self, *words, patch="", timeout=120, **options):
        pipes = {} if "stdout" in options else {"capture_output": True}
        return subprocess.run(
            self.command(*words, patch=patch),
            cwd=self.folder,
            env=self.environment(),
            text=True,
            timeout=timeout,
            check=False,
            **pipes,
            **options,
        )

    def sweep(self, *words, **options):
        return self.run("sweep", *words, "--store", self.store, **options)

    def ask(self, question, *values):
        """Rows of a query as dictionaries. The store is opened for writing: what a killed writer left has to be undone."""
        with sqlite3.connect(f"file:{self.store}?mode=rw", uri=True, timeout=30) as db:
            db.row_factory = sqlite3.Row
            found = [dict(row) for row in db.execute(question, values)]
        db.close()
        return found

    def rows(self):
        return self.ask("SELECT * FROM rows ORDER BY row_id")

    def runs(self):
        return self.ask("SELECT * FROM runs ORDER BY rowid")


@pytest.fixture(scope="session")
def prepared_store(tmp_path_factory):
    """A store with peaks of this machine that nothing reaches, so that a sweep need not measure them."""
    path = tmp_path_factory.mktemp("prepared") / "s.sqlite"
    device = cpu_name() or "cpu"
    kinds = ["copy", *(f"gemm:{p}" for p in ("float64", "float32", "tf32", "bfloat16"))]
    with Store(path, create=True) as store:
        for threads in {1, cpu_count()}:
            store.add_peaks(machine_id(fingerprint()), threads, {(device, kind): 1e16 for kind in kinds})
    return path


@pytest.fixture
def bench(tmp_path, prepared_store):
    return Bench(tmp_path / "bench", prepared_store)


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory, prepared_store):
    return Bench(tmp_path_factory.mktemp("shared") / "bench", prepared_store)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("UNVERIFIED: there is no mount command")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("UNVERIFIED: no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
