"""SIGKILL, Ctrl-C and --resume: finished cells stay as they are, each cell is stored once, and no process is left."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType

import pytest

import lstm_parity
from lstm_parity.harness.api.sweep import define
from lstm_parity.harness.records import TIMED
from lstm_parity.harness.store import Store
from lstm_parity.harness.worker.spawn import end, spawn

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look for processes"),
]
STEPS = (2, 3, 4, 5, 6)
ROOT = Path(lstm_parity.__file__).resolve().parent.parent


def processes(bench):
    """The processes (not zombies) that were started for this bench: their environment names its folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if os.fsencode(bench.temporary) in environment and state not in "ZX":
            found.append(int(folder.name))
    return found


def none_left(bench, within_s=5.0):
    end = time.monotonic() + within_s
    while processes(bench) and time.monotonic() < end:
        time.sleep(0.05)
    return not processes(bench)


def workers(bench, parent):
    """The children of the sweep that hold a backend."""
    found = []
    for pid in processes(bench):
        with suppress(FileNotFoundError):  # it has just ended
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if f"\nPPid:\t{parent}\n" in Path(f"/proc/{pid}/status").read_text() and b"run_child" in words:
                found.append(pid)
    return found


def wait_for_cells(bench, process, count):
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if len(bench.rows()) >= count:
            return
        time.sleep(0.01)


def wait_for_file(path):
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert path.exists()


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range((metafunc.config.getoption("--kills") + 2) // 3))


def to_be_killed(bench):
    sweep = bench.tiny(["numpy", bench.file("a b'c.py", NUMPY) + ":X"], steps=STEPS, budget=0.1)
    return "sweep", sweep, "--store", bench.store, "--resume"


@pytest.fixture(scope="module")
def undisturbed_s(shared_bench):
    """How long the sweep takes here that is to be killed."""
    begun = time.monotonic()
    assert shared_bench.run(*to_be_killed(shared_bench)).returncode == 0
    return time.monotonic() - begun


def test_kill_9_of_the_parent_at_any_moment(bench, undisturbed_s, seed):
    """Three kills for each seed; more with `pytest -k parent_at_any_moment --kills 100`."""
    draw = random.Random(seed)
    words = to_be_killed(bench)
    kept = {}
    for _ in range(3):
        process = bench.start(*words)
        time.sleep(draw.uniform(0.0, undisturbed_s))
        process.kill()
        process.communicate()
        assert none_left(bench), seed
        now = {(row["cell"], row["backend"]): row for row in bench.rows()}
        assert kept.items() <= now.items(), seed
        assert all(count == 2 for count in Counter(cell for cell, _ in now).values()), seed
        kept = now
    done = bench.run(*words)
    assert done.returncode == 0, done.stderr
    rows = bench.rows()
    assert Counter(row["cell"] for row in rows) == dict.fromkeys(range(len(STEPS)), 2)
    assert kept.items() <= {(row["cell"], row["backend"]): row for row in rows}.items(), seed
    assert {row["status"] for row in rows} <= set(TIMED)
    assert len({row["run_id"] for row in rows}) == 1
    assert [run["finished_at"] is not None for run in bench.runs()][-1]
    assert len(list(bench.temporary.iterdir())) <= 3  # at most the one file a kill that a worker had not opened yet
    assert bench.ask("SELECT count(*) AS n FROM samples WHERE row_id NOT IN (SELECT row_id FROM rows)") == [{"n": 0}]


NUMPY = "from lstm_parity.backends.numpy_lstm import NumpyLSTM as X\n"


DYING = """
import os, sqlite3
class Dying(sqlite3.Connection):
    rows = 0
    def execute(self, statement, *values):
        last = Dying.rows >= 3 and statement.startswith({statement!r})
        if last and {when!r} == "before":
            os.kill(os.getpid(), 9)
        Dying.rows += statement.startswith("INSERT INTO rows")
        found = super().execute(statement, *values)
        if last:
            os.kill(os.getpid(), 9)
        return found
def connect(*words, was=sqlite3.connect, **options):
    db = was(*words, factory=Dying, **options)
    db.execute("PRAGMA cache_size = 1")  # pages go to the file before they are committed
    return db
sqlite3.connect = connect
"""


WRITES = """
import sys
{dying}
from lstm_parity.harness.records import Cell, RawSample, Row, Run
from lstm_parity.harness.store import Store
store = Store(sys.argv[1], create=True)
store.add_run(Run("run", "{{}}", "hash", "machine", "{{}}", "sweep", 7, "2026"))
samples = [RawSample(block, 0, 1, 0.4, None, 0.0, True) for block in range(500)]
for cell in range({cells}):
    rows = [Row(run_id="run", backend=name, machine_id="machine", cell=Cell(), threads=2, seed=7, status="PASSED", median_s=0.4,
                started_at="2026") for name in ("numpy", "other")]
    store.add_cell(cell, [(row, samples) for row in rows])
store.finish_run("run", "2027", {{}})
"""
MOMENTS = [
    ("before", "INSERT INTO rows", 1),  # between the two rows of a cell
    ("before", "COMMIT", 1),
    ("after", "COMMIT", 2),
    ("before", "UPDATE runs SET finished_at", len(STEPS)),
]


@pytest.mark.parametrize(("when", "statement", "finished"), MOMENTS)
def test_kill_9_in_a_transaction_keeps_the_finished_cells(tmp_path, when, statement, finished):
    path = tmp_path / "s.sqlite"
    script = WRITES.format(dying=DYING.format(when=when, statement=statement), cells=len(STEPS))
    killed = subprocess.run([sys.executable, "-c", script, path], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    journal = path.with_name(f"{path.name}-journal")
    assert (journal.exists() and journal.stat().st_size > 0) == (
        when == "before" and statement != "UPDATE runs SET finished_at"
    )
    with Store(path) as store:
        assert Counter(store.frames().rows["cell"]) == dict.fromkeys(range(finished), 2)
        assert len(store.frames().samples) == 2 * 500 * finished
        assert store.runs()[0].finished_at is None


def test_a_sweep_that_was_killed_in_a_transaction_is_resumed(bench):
    words = ("sweep", bench.tiny(["numpy", bench.file("other.py", NUMPY) + ":X"]), "--store", bench.store)
    patch = DYING.format(when="before", statement="COMMIT")
    assert bench.run(*words, patch=patch).returncode == -signal.SIGKILL
    assert none_left(bench)
    assert bench.store.with_name(f"{bench.store.name}-journal").stat().st_size > 0
    assert bench.run(*words, "--resume").returncode == 0  # the first to open the store
    assert Counter(row["cell"] for row in bench.rows()) == dict.fromkeys(range(2), 2)
    assert [run["finished_at"] is not None for run in bench.runs()] == [True]


def test_kill_9_while_the_peaks_are_measured(bench):
    bench.store.unlink()
    process = bench.start("sweep", bench.tiny(), "--store", bench.store)
    end = time.monotonic() + 20
    while len(workers(bench, process.pid)) < 3 and time.monotonic() < end:  # the backend, the control, and what measures
        time.sleep(0.01)
    assert len(workers(bench, process.pid)) == 3
    time.sleep(0.5)
    process.kill()
    assert none_left(bench, within_s=0.5)
    assert "Traceback" not in process.communicate()[1]


def test_ctrl_c_does_not_reach_a_child():
    process, pipe = spawn(Connection.recv, 1)
    try:
        assert os.getpgid(process.pid) == process.pid  # from its start: a terminal signals the group of the command
    finally:
        pipe.close()
        end(process)


WAITS = """\
import os, pathlib, time
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM):
    def forward(self, x, *a, **k):
        if len(x) == 4 and not pathlib.Path("pid").exists():
            pathlib.Path("being written").write_text(str(os.getpid()))
            pathlib.Path("being written").rename("pid")
            time.sleep(60)
        return super().forward(x, *a, **k)
"""


def test_kill_9_of_a_worker_in_a_call(bench):
    other = bench.file("other.py", WAITS) + ":X"
    process = bench.start("sweep", bench.tiny(["numpy", other], steps=STEPS), "--store", bench.store)
    wait_for_file(bench.folder / "pid")
    os.kill(int((bench.folder / "pid").read_text()), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    rows = bench.rows()
    assert Counter(row["cell"] for row in rows) == dict.fromkeys(range(len(STEPS)), 2)
    (crashed,) = (row for row in rows if row["status"] not in TIMED)
    assert (crashed["backend"], crashed["sequence_length"]) == (other, 4)
    assert (crashed["status"], crashed["reason"]) == ("CRASHED", "killed by SIGKILL")
    assert none_left(bench)


def test_kill_9_of_a_worker_at_any_moment(bench):
    """In a cell it costs its row the time; between two cells another worker takes its place, and nothing is lost."""
    other = bench.file("other.py", NUMPY) + ":X"
    process = bench.start("sweep", bench.tiny(["numpy", other], steps=STEPS, budget=0.3), "--store", bench.store)
    wait_for_cells(bench, process, 1)
    for victim in workers(bench, process.pid):
        os.kill(victim, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    rows = bench.rows()
    assert Counter(row["cell"] for row in rows) == dict.fromkeys(range(len(STEPS)), 2), said
    crashed = [row for row in rows if row["status"] not in TIMED]
    assert process.returncode == int(bool(crashed)), said
    assert all((row["status"], row["reason"]) == ("CRASHED", "killed by SIGKILL") for row in crashed)
    assert len(crashed) == len({row["backend"] for row in crashed})
    assert none_left(bench)


CELLS = 10
SAME_SIZE = """
import lstm_parity.harness.store as s
add = s.Store._add_samples
s.Store._add_samples = lambda self, table, own, samples: add(self, table, own, (list(samples) * 100)[:100])
"""
"""Every cell takes the same room, however many samples it has."""
FULL = """
was = s.Store._open
def small(self, create):
    was(self, create)
    (pages,) = self._db.execute("PRAGMA page_count").fetchone()
    self._db.execute(f"PRAGMA max_page_count = {pages + 12}")
s.Store._open = small
"""


def test_a_full_disk_is_one_line_and_loses_nothing(bench):
    sweep = bench.tiny(steps=range(2, 2 + CELLS), budget=0.02)
    words = ("sweep", sweep, "--store", bench.store)
    done = bench.run(*words, patch=SAME_SIZE + FULL)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].endswith("s.sqlite has no room: the disk is full; what was finished is kept")
    kept = bench.rows()
    assert 1 <= len(kept) < CELLS
    assert bench.run(*words, "--resume").returncode == 0
    assert bench.rows()[: len(kept)] == kept
    assert [row["cell"] for row in bench.rows()] == list(range(CELLS))


def fill(folder):
    """Leave no room."""
    with suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while file.write(b"x" * 512):
            pass


def test_a_small_file_system_that_runs_full(bench, small_disk):
    bench.store = Path(shutil.copy(bench.store, small_disk))
    fill(small_disk)
    (small_disk / "filler").write_bytes(b"x" * ((small_disk / "filler").stat().st_size - 80_000))
    words = ("sweep", bench.tiny(steps=range(2, 2 + CELLS), budget=0.02), "--store", bench.store)
    done = bench.run(*words, patch=SAME_SIZE)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    *finished, said = done.stderr.strip().splitlines()
    assert said.endswith("the disk is full; what was finished is kept")
    kept = bench.rows()
    assert kept
    assert [row["cell"] for row in kept] == list(range(len(finished)))
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    assert bench.run(*words, "--resume").returncode == 0
    assert bench.rows()[: len(kept)] == kept
    assert [row["cell"] for row in bench.rows()] == list(range(CELLS))


def in_folder(folder):
    """Where files are made that a worker prints into; from TMPDIR, Python turns to another folder where there is no room."""
    return f"import tempfile\ntempfile.tempdir = {str(folder)!r}"


def test_no_room_for_what_workers_print_is_their_rows_reason(bench, small_disk):
    fill(small_disk)
    bench.file("loud.py", "print('z' * 100_000)\n" + NUMPY)
    done = bench.run("sweep", bench.tiny(["loud.py:X", "numpy"]), "--store", bench.store, patch=in_folder(small_disk))
    assert "Traceback" not in done.stderr
    rows = bench.rows()
    assert [row["backend"] for row in rows] == ["loud.py:X", "numpy"] * 2
    for loud, quiet in zip(rows[::2], rows[1::2], strict=True):
        assert (loud["status"], "No space left on device" in loud["reason"]) == ("UNAVAILABLE", True)
        assert quiet["status"] in TIMED


def test_no_room_for_the_files_that_workers_print_into_is_one_line(bench, small_disk):
    subprocess.run(["mount", "-o", "remount,nr_inodes=2", small_disk], check=True)
    (small_disk / "filler").touch()
    done = bench.run("sweep", bench.tiny(), "--store", bench.store, patch=in_folder(small_disk))
    assert done.returncode == 2
    assert re.fullmatch(f"lstm-parity sweep: {small_disk}/.*: No space left on device\n", done.stderr), done.stderr
    assert bench.rows() == []


REMOVES = """\
import os, shutil
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM):
    def forward(self, x, *a, **k):
        if len(x) == 3:
            shutil.rmtree(os.environ["TMPDIR"])
            os._exit(7)
        return super().forward(x, *a, **k)
"""


def test_a_deleted_folder_of_temporary_files_is_one_line_and_loses_nothing(bench):
    """No worker can be started any more in the place of one that ended."""
    removes = bench.file("removes.py", REMOVES) + ":X"
    words = ("sweep", bench.tiny(["numpy", removes], steps=[2, 3, 4]), "--store", bench.store)
    done = bench.run(*words)
    assert done.returncode == 2, done.stderr
    *cells, said = done.stderr.strip().splitlines()
    assert len(cells) == 2
    assert re.fullmatch(f"lstm-parity sweep: {bench.temporary}/.*: No such file or directory", said)
    assert none_left(bench)
    kept = bench.rows()
    assert [(row["cell"], row["status"] in TIMED) for row in kept] == [(0, True), (0, True), (1, True), (1, False)]
    assert (kept[3]["status"], kept[3]["reason"]) == ("CRASHED", "the process exited with code 7")
    bench.temporary.mkdir()
    assert bench.run(*words, "--resume").returncode == 1  # the row that crashed is finished
    assert bench.rows()[: len(kept)] == kept
    assert [(row["cell"], row["status"] in TIMED) for row in bench.rows()[len(kept) :]] == [(2, True), (2, True)]


BACK = """
import datetime, itertools, time
import lstm_parity.harness.records as r
hours = itertools.count(1)
class Back(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) - datetime.timedelta(hours=next(hours))
r.datetime = Back
now = time.time()
time.time = lambda: now - 3600 * next(hours)
"""
CLOCK = NUMPY + "import time\nlater = iter(range(10**9, 0, -1000))\ntime.time = lambda: next(later)\n"


def test_a_clock_that_is_set_back_changes_no_time_and_no_order(bench):
    mine = bench.file("mine.py", CLOCK) + ":X"
    words = ("sweep", bench.tiny(["numpy", mine], budget=0.1), "--store", bench.store)
    assert bench.run(*words).returncode == 0
    done = bench.run(*words, patch=BACK)
    assert done.returncode == 0, done.stderr
    first, second = bench.runs()
    assert second["started_at"] < first["started_at"]
    assert second["finished_at"] < second["started_at"]
    for row in bench.rows():
        assert row["status"] in TIMED, row["reason"]
        assert 1e-6 < row["median_s"] < 0.1
        assert 0 <= row["setup_s"] < 60
    assert json.loads(second["summary"])["wall_s"] > 0
    with sqlite3.connect(bench.store) as db:
        db.execute("DELETE FROM rows WHERE run_id = ? AND cell = 1", (second["run_id"],))
    db.close()
    assert bench.run(*words, "--resume").returncode == 0  # the newest is the one that was written last
    assert Counter(row["run_id"] for row in bench.rows()) == {first["run_id"]: 4, second["run_id"]: 4}
    listed = json.loads(bench.run("runs", "--json", "--store", bench.store).stdout)
    assert json.dumps(listed).index(second["run_id"]) < json.dumps(listed).index(first["run_id"])


@pytest.mark.parametrize(
    ("moment", "to_group"),
    [("start", False), ("start", True), ("peaks", True), ("between", False), ("twice", True)],
)
def test_ctrl_c(bench, moment, to_group):
    if moment == "peaks":
        bench.store.unlink()
    sweep = bench.tiny(steps=STEPS, budget=0.3)
    process = bench.start("sweep", sweep, "--store", bench.store, start_new_session=True)

    def press():
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)

    if moment in ("between", "twice"):
        wait_for_cells(bench, process, 2)
    else:
        end = time.monotonic() + 20
        while not (workers(bench, process.pid)) and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep({"start": 0.0, "peaks": 1.0}[moment])
    press()
    if moment == "twice":
        for _ in range(20):
            time.sleep(0.001)
            press()
    out, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert out == ""
    assert none_left(bench)
    assert list(bench.temporary.iterdir()) == []
    before = bench.rows()
    if moment in ("between", "twice"):
        assert len(before) >= 2
        assert said.strip().splitlines()[-1].startswith("interrupted: ")
        assert len(before) < len(STEPS)
    if moment == "twice":
        bench.run("sweep", sweep, "--store", bench.store, "--resume")
        after = bench.rows()
        assert after[: len(before)] == before
        assert [row["cell"] for row in after] == list(range(len(STEPS)))


def test_resume_continues_only_the_same_code_definition_and_machine(bench):
    """And says so where it does not: a run's times are of one state of the code."""
    mine = bench.file("mine.py", NUMPY)
    words = ("sweep", bench.tiny([f"{mine}:X"]), "--store", bench.store, "--resume")

    def resumed(runs, patch=""):
        before = bench.rows()
        done = bench.run(*words, patch=patch)
        assert done.returncode == 0, done.stderr
        assert Counter(row["run_id"] for row in bench.rows()) == {run["run_id"]: 2 for run in bench.runs()}
        assert len(bench.runs()) == runs
        assert bench.rows()[: len(before)] == before
        return done.stderr

    assert resumed(runs=1).startswith("nothing to resume: ")
    again = resumed(runs=1)
    assert again.startswith("nothing left to measure: ")
    assert len(again.strip().splitlines()) == 1
    patch = "import lstm_parity.harness.machine.host as m\nm.own_commit = lambda: ('0123456789abcdef', 'changed')"
    said = resumed(runs=2, patch=patch)
    assert said.startswith("run ")
    assert "not of the present code: a new one begins" in said
    assert "commit 0123456789, with uncommitted changes" in bench.run("runs", "--store", bench.store).stdout
    bench.file("mine.py", NUMPY + "# another\n")
    resumed(runs=3)
    with closing(sqlite3.connect(bench.store, isolation_level=None)) as db:
        db.execute("UPDATE runs SET machine_id = 'another'")
    resumed(runs=4)


def test_whatever_is_measured_otherwise_is_another_definition(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    mine, sweep = bench.file("mine.py", NUMPY), bench.tiny(["mine.py:X"])

    def hash_of(axes=MappingProxyType({}), **changes):
        return define(sweep, axes=axes, **changes)[0].hash()

    first = hash_of()
    assert hash_of() == first
    hashes = {hash_of({"batch_size": 3}), hash_of({"cache": "warm"}), hash_of(budget_s=0.06), hash_of(threads=1)}
    bench.file(mine, NUMPY + "# another\n")
    assert len({first, hash_of(), hash_of(backends=["numpy"]), *hashes}) == 7


def test_a_finished_run_is_exit_0_even_where_its_rows_are_bad(bench):
    bench.file(
        "bad.py",
        "import os; from lstm_parity.backends.numpy_lstm import NumpyLSTM as N\nclass X(N):\n  def forward(*a): os._exit(1)\n",
    )
    words = ("sweep", bench.tiny(["bad.py:X"]), "--store", bench.store, "--resume")
    assert bench.run(*words).returncode == 1
    again = bench.run(*words)
    assert again.returncode == 0
    assert "2 CRASHED" in again.stderr
    assert len(bench.rows()) == 2


def test_sweeps_into_one_new_store_at_once(bench):
    bench.store.unlink()
    patch = "import lstm_parity.harness.sweep.run as r\nr.measure_peaks = lambda threads, cuda: {('none', 'copy'): 1.0}"
    both = [bench.start("sweep", bench.tiny(), "--store", bench.store, patch=patch) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert len(bench.runs()) == 2
    assert Counter(row["run_id"] for row in bench.rows()) == {run["run_id"]: 2 for run in bench.runs()}


GATE = """\
import pathlib, time
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM):
    def forward(self, x, *a, **k):
        if len(x) == 3:
            pathlib.Path("reached").touch()
            while not pathlib.Path("open").exists():
                time.sleep(0.01)
        return super().forward(x, *a, **k)
"""


def test_a_sweep_in_a_long_cell_does_not_lock_the_store(bench):
    long = bench.start("sweep", bench.tiny(["numpy", bench.file("gate.py", GATE) + ":X"]), "--store", bench.store)
    wait_for_file(bench.folder / "reached")
    assert bench.run("sweep", bench.tiny(steps=[2], name="other.toml"), "--store", bench.store).returncode == 0
    (bench.folder / "open").touch()
    _, said = long.communicate(timeout=60)
    assert long.returncode == 0, said
    first, second = bench.runs()
    assert Counter(row["run_id"] for row in bench.rows()) == {first["run_id"]: 4, second["run_id"]: 1}
    assert {row["status"] for row in bench.rows()} <= set(TIMED)


@pytest.mark.parametrize("in_time", [True, False])
def test_a_store_that_another_process_is_writing_to(bench, in_time):
    """Waited for; where that takes too long, what was finished is kept."""
    gate = bench.file("gate.py", GATE) + ":X"
    words = ("sweep", bench.tiny(["numpy", gate], steps=[2, 3, 4]), "--store", bench.store)
    process = bench.start(*words, patch="" if in_time else "import lstm_parity.harness.store as s\ns.BUSY_SECONDS = 0.2")
    wait_for_file(bench.folder / "reached")
    with closing(sqlite3.connect(bench.store, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        (bench.folder / "open").touch()
        if in_time:
            time.sleep(1.0)
        else:
            process.wait(timeout=60)
    _, said = process.communicate(timeout=60)
    if not in_time:
        assert process.returncode == 2, said
        assert "is in use by another process" in said.strip().splitlines()[-1]
        assert "Traceback" not in said
        assert [row["cell"] for row in bench.rows()] == [0, 0]
        process = bench.start(*words, "--resume")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert [row["cell"] for row in bench.rows()] == [0, 0, 1, 1, 2, 2]
    assert none_left(bench)


def test_a_store_is_made_once_however_many_make_it(tmp_path):
    """Both have seen that there are no tables yet; the second one comes to make them when the first one has."""
    with Store(tmp_path / "s.sqlite", create=True) as store:
        store.add_peaks("machine", 1, {("cpu", "copy"): 1.0})
        store._columns = {}
        with store.transaction():
            pass
        assert store.peaks("machine", 1) == {("cpu", "copy"): 1.0}


def test_two_resumes_of_one_run(bench):
    sweep = bench.tiny(steps=STEPS, budget=0.15)
    first = bench.start("sweep", sweep, "--store", bench.store)
    wait_for_cells(bench, first, 1)
    first.kill()
    first.communicate()
    both = [bench.start("sweep", sweep, "--store", bench.store, "--resume") for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert sorted(row["cell"] for row in bench.rows()) == list(range(len(STEPS)))


def test_a_store_deleted_under_the_run_is_one_line(bench):
    process = bench.start("sweep", bench.tiny(steps=STEPS, budget=0.3), "--store", bench.store)
    wait_for_cells(bench, process, 1)
    bench.store.unlink()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in said
    assert "has disappeared" in said.strip().splitlines()[-1]
    assert none_left(bench)


def test_a_reader_that_closes_the_pipe_does_not_end_the_sweep(bench):
    ours, theirs = os.pipe()
    os.close(ours)
    process = bench.start("sweep", bench.tiny(), "--store", bench.store, stderr=theirs)
    os.close(theirs)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(bench.rows()) == 2
