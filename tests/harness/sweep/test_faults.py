"""Backends that fail in every way: each ends in its own row, with its reason, and nothing else is touched."""

import os
import re
import signal
from pathlib import Path

import pytest

from lstm_parity.harness.records import TIMED, Cell
from lstm_parity.harness.sweep.messages import Open
from lstm_parity.harness.sweep.server import SweepServer
from lstm_parity.harness.worker.client import WorkerClient, WorkerError
from lstm_parity.harness.worker.messages import Describe

pytestmark = pytest.mark.deep

HEAD = """\
import ctypes, os, signal, sys, threading, time
import numpy as np
from lstm_parity import Capabilities, LSTMBackend, LSTMState, UnsupportedError
from lstm_parity.backends.numpy_lstm import NumpyLSTM
LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = [ctypes.c_size_t]
LIBC.free.argtypes = [ctypes.c_void_p]
"""


def forward(body, setup="pass"):
    """A right backend whose forward has `body` in it: y, state are the right answer, n counts the calls from 0."""
    return f"""{HEAD}
class X(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.n = -1
        {setup}
    def forward(self, x, before, lengths=None, training=False):
        self.n += 1
        n = self.n
        y, state = super().forward(x, before, lengths, training)
        {body}
        return y, state
"""


UNTIL_CUT = """
def flood_until_it_is_cut():  # which only what waits for the answer can do
    written, before = 0, 0
    while (size := os.fstat(2).st_size) >= before:
        assert written < 2**32, "what is printed in a call is not looked after before the call ends"
        written, before = written + os.write(2, b"e" * 65536), size
        time.sleep(1e-3)
"""
WHERE = r" \(\w+\.py:\d+\)"
OF_CALLS = {
    "memory": (forward("raise MemoryError('no room')"), "OUT_OF_MEMORY", "MemoryError: no room"),
    "allocates": (forward("np.empty(2**60, np.uint8)"), "OUT_OF_MEMORY", ".*Unable to allocate.*"),
    "raises": (forward("raise ValueError('one\\n  two')"), "CRASHED", f"ValueError: one two{WHERE}"),
    "raises_novel": (forward("raise ValueError('long ' * 10**6)"), "CRASHED", "ValueError: long .*"),
    "raises_unprintable": (
        HEAD + "class E(Exception):\n  def __str__(self): raise E\n" + forward("raise E").removeprefix(HEAD),
        "CRASHED",
        ".+",
    ),
    "raises_later": (forward("if n == 2: raise ValueError('later')"), "CRASHED", f"ValueError: later{WHERE}"),
    "raises_at_construction": (forward("pass", "raise ValueError('w_ih')"), "CRASHED", f"ValueError: w_ih{WHERE}"),
    "unsupported": (forward("raise UnsupportedError('odd sizes')"), "UNSUPPORTED", "odd sizes"),
    "unsupported_at_construction": (forward("pass", "raise UnsupportedError('H = 4')"), "UNSUPPORTED", "H = 4"),
    "wrong_slightly": (forward("y = y * np.float32(1.00001)"), "WRONG", "y is first wrong at step .*"),
    "wrong_state": (forward("state = LSTMState(state.h, state.h)"), "WRONG", "c_n is first wrong at .*"),
    "nan": (forward("y = y * np.nan"), "WRONG", "y is first wrong at .* got nan.*"),
    "nan_state": (forward("state.c[...] = np.nan"), "WRONG", "c_n is first wrong at .* got nan.*"),
    "infinite": (forward("y = y + np.inf"), "WRONG", "y is first wrong at .* got inf.*"),
    "huge": (forward("y = y + np.float32(3e38)"), "WRONG", "y is first wrong at .*"),
    "shape": (forward("y = y[:-1]"), "WRONG", r"y is float32 of shape \(\d, 2, 4\), expected .*"),
    "dtype": (forward("y = y.astype(np.float64)"), "WRONG", "y is float64 of .*, expected float32 of .*"),
    "state_dtype": (forward("state = LSTMState(state.h, state.c.astype(np.float64))"), "WRONG", "c_n is float64 of .*"),
    "none": (forward("return None"), "WRONG", "forward returned a NoneType, .*"),
    "three": (forward("return y, state.h, state.c"), "WRONG", "forward returned a tuple of 3, .*"),
    "list": (forward("return [y, state]"), "WRONG", "forward returned a list, .*"),
    "list_in_tuple": (forward("return y.tolist(), state"), "WRONG", "y is a list, expected what to_device gives, a ndarray"),
    "no_state": (forward("return y, (state.h, state.c)"), "WRONG", r"forward returned a tuple of 2, .*"),
    "state_of_none": (forward("return y, LSTMState(None, None)"), "WRONG", "h_n is a NoneType, .*"),
    "subclass": (forward("y = y.view(np.recarray)"), "WRONG", "y is a recarray, .*"),
}
"""Faults that the process survives: the backends are called in the process of the tests."""
OF_PROMISES = {
    "unavailable_raises": (
        forward("pass") + "    @classmethod\n    def unavailable(cls): raise OSError('driver')\n",
        "CRASHED",
        f"OSError: driver{WHERE}",
    ),
    "unavailable_object": (
        forward("pass") + "    @classmethod\n    def unavailable(cls): return cls\n",
        "CRASHED",
        r"TypeError: unavailable\(\) gave a ABCMeta, expected a text or None.*",
    ),
    "import_fails": (
        "raise RuntimeError('half\\ninstalled')",
        "UNAVAILABLE",
        ".* fails on import: RuntimeError: half installed",
    ),
    "import_needs": ("import no_such_library", "UNAVAILABLE", "import_needs.py needs no_such_library, .*"),
    "syntax": ("def", "UNAVAILABLE", ".* fails on import: SyntaxError: .*"),
    "lacks_class": (HEAD + "class Y: pass", "UNAVAILABLE", ".* has no class 'X'; it defines Y"),
    "no_forward": (HEAD + "class X(LSTMBackend):\n  capabilities = Capabilities()", "CRASHED", ".*does not define .*forward.*"),
    "no_backend": ("class X: pass", "CRASHED", ".*is not a subclass of lstm_parity.LSTMBackend.*"),
}
"""Faults that show when a backend is imported and asked what it promises: in the process of the tests."""
OF_PROCESSES = {
    "segfault": (forward("ctypes.string_at(0)"), "CRASHED", "killed by SIGSEGV"),
    "exits": (forward("os._exit(3)"), "CRASHED", "the process exited with code 3"),
    "system_exit": (forward("sys.exit(5)"), "CRASHED", f"SystemExit: 5{WHERE}"),
    "interrupt": (forward("raise KeyboardInterrupt"), "CRASHED", f"KeyboardInterrupt{WHERE}"),
    "killed": (forward("os.kill(os.getpid(), signal.SIGKILL)"), "CRASHED", "killed by SIGKILL"),
    "nameless_signal": (forward("os.kill(os.getpid(), 40)"), "CRASHED", "killed by signal 40"),
    "leaks_to_its_limit": (
        forward(
            "[self.kept.append(np.ones(2**22)) for _ in range(10**4)]",
            "import resource; self.kept = []; pages = int(open('/proc/self/statm').read().split()[0]); "
            "resource.setrlimit(resource.RLIMIT_AS, (4096 * pages + 2**28, resource.RLIM_INFINITY))",
        ),
        "OUT_OF_MEMORY",
        ".*Unable to allocate.*",
    ),
    "heap_overrun": (
        # over the size of the block behind it, which is then given back
        forward(
            "all = {LIBC.malloc(40000) for _ in range(50)}; p = next(p for p in all if p + 40016 in all);"
            " ctypes.memset(p, 0x41, 40016); LIBC.free(p + 40016)"
        ),
        "CRASHED",
        "killed by SIGABRT.*",
    ),
    "double_free": (forward("p = LIBC.malloc(2000); LIBC.free(p); LIBC.free(p)"), "CRASHED", "killed by SIG(ABRT|SEGV).*"),
    "flood_of_lines": (forward("[sys.stderr.write('e\\n') for _ in range(300_000)]"), TIMED, None),
    "flood_without_a_line": (forward("[os.write(2, b'e' * 65536) for _ in range(200)]"), TIMED, None),
    "flood_cut_while_it_runs": (forward("n or flood_until_it_is_cut()") + UNTIL_CUT, TIMED, None),
    "flood_from_a_thread": (
        forward("pass", "self.thread = threading.Thread(target=flood, daemon=True); self.thread.start()")
        + "def flood():\n    while True:\n        os.write(2, b'e' * 4096); time.sleep(1e-3)\n",
        (*TIMED, "SUSPECT"),
        None,
    ),
    "closes_pipes": (forward("os.closerange(3, 256)"), "CRASHED", ".+"),
    "closes_pipes_and_stays": (
        forward("os.closerange(3, 256); time.sleep(60)"),
        "CRASHED",
        "the process closed its pipe and did not end",
    ),
    "closes_output": (forward("sys.stdout.close(); sys.stderr = None"), TIMED, None),
    "loud": (forward("print('o' * 10_000_000); print('e' * 10_000_000, file=sys.stderr)"), TIMED, None),
    "last_output": (forward("print('farewell', flush=True); os._exit(1)"), "CRASHED", ".*last output: farewell"),
    "forks_itself": (forward("n == 2 and os.fork()"), TIMED, None),
    "answers_nothing": (
        forward("pass") + "import lstm_parity.harness.sweep.session as s\ns.Session.fetch = lambda *_: None\n",
        "CRASHED",
        "unreadable answer: UnpicklingError: a NoneType in place of a Results",
    ),
    "answers_no_time": (
        forward("pass")
        + "import lstm_parity.harness.sweep.session as s\ns.Session.go = lambda *_: s.Sample(float('nan'), None, 0.0)\n",
        "CRASHED",
        "unreadable answer: UnpicklingError: wall_s: nan in place of a number",
    ),
    "closes_badly": (forward("pass") + "    def close(self): os.abort()\n", TIMED, None),
    "unavailable": (
        forward("pass") + "    @classmethod\n    def unavailable(cls): return 'no\\nlicence'\n",
        "UNAVAILABLE",
        "no licence",
    ),
    "import_exits": ("import sys; sys.exit('bye')", "UNAVAILABLE", ".* fails on import: SystemExit: bye"),
    "import_segfaults": ("import ctypes; ctypes.string_at(0)", "CRASHED", "killed by SIGSEGV"),
    "no_capabilities": (
        HEAD + "class X(LSTMBackend):\n  def __init__(*a): pass\n  def forward(*a): pass",
        "CRASHED",
        ".*capabilities.*",
    ),
}
"""Faults of which a process may die: each backend has a worker process."""
AGAIN = ("segfault", "exits", "closes_pipes", "closes_badly", "import_segfaults", "unavailable", "no_capabilities")
"""Those that are measured in two cells: the second gets a new worker, or none."""
BACKWARD = {
    "backward_raises": ("raise ValueError('back')", "CRASHED", f"ValueError: back{WHERE}"),
    "backward_none": ("return None", "WRONG", "backward returned a NoneType, expected LSTMGradients"),
    "backward_wrong": ("g.x[...] *= 2; return g", "WRONG", "gradient of x is first wrong .*"),
    "backward_nan": ("g.weights.layers[0][0].b_hh[1] = np.nan; return g", "WRONG", ".*b_hh.* nan.*"),
    "backward_shape": ("return type(g)(g.x[1:], g.h0, g.c0, g.weights)", "WRONG", "the gradient of x is float32 of shape .*"),
    "backward_few": ("return type(g)(g.x, g.h0, g.c0, type(g.weights)(()))", "WRONG", ".* have 0 layers, expected 1"),
    "backward_list": ("return type(g)(g.x, g.h0, g.c0, [g.weights])", "WRONG", ".* are a list, expected LSTMWeights"),
    "backward_missing": (
        "d = g.weights.layers[0][0]; return type(g)(g.x, g.h0, g.c0, type(g.weights)(((type(d)(d.w_ih, d.w_hh),),)))",
        "WRONG",
        ".*b_ih.*",
    ),
    "backward_accumulates": (
        "self.x = self.x + g.x if hasattr(self, 'x') else g.x; return type(g)(self.x.copy(), g.h0, g.c0, g.weights)",
        "WRONG",
        r"in timed call \d+: gradient of x .*",
    ),
    "backward_segfaults": ("ctypes.string_at(0)", "CRASHED", "killed by SIGSEGV"),
}


def backward(body):
    return f"""{HEAD}
class X(NumpyLSTM):
    def backward(self, grad_y, grad_state):
        g = super().backward(grad_y, grad_state)
        {body}
"""


def assert_row(name, status, reason, row):
    """row: a Row, or a dictionary of its columns."""
    found = row if isinstance(row, dict) else vars(row)
    assert found["status"] in (status if isinstance(status, tuple) else (status,)), (name, found["reason"])
    assert (found["median_s"] is not None) == (found["status"] in TIMED)
    if reason is not None:
        assert re.fullmatch(reason, found["reason"]), (name, found["reason"])
        assert "\n" not in found["reason"]
        assert len(found["reason"]) < 3000


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@pytest.mark.parametrize("name", [*OF_CALLS, *(name for name in BACKWARD if name != "backward_segfaults")])
def test_a_fault_of_a_call_ends_in_its_own_row(tmp_path, in_process_worker, measure, name):
    training = name in BACKWARD
    body, status, reason = BACKWARD[name] if training else OF_CALLS[name]
    (tmp_path / f"{name}.py").write_text(backward(body) if training else body)
    clients = {"numpy": in_process_worker(), name: in_process_worker(backend=f"{tmp_path / name}.py:X")}
    cell = Cell.of(input_size=3, hidden_size=4, sequence_length=3, batch_size=2, mode="training" if training else "inference")
    good, row = (row for row, _ in measure(cell, clients, budget_s=0.05).results)
    assert good.status in TIMED, good.reason
    assert_row(name, status, reason, row)


@pytest.mark.parametrize("name", OF_PROMISES)
def test_a_fault_of_a_description_ends_in_its_own_row(tmp_path, in_process_worker, measure, name):
    body, status, reason = OF_PROMISES[name]
    (tmp_path / f"{name}.py").write_text(body)
    with pytest.raises(WorkerError) as refused:
        in_process_worker(backend=f"{tmp_path / name}.py:X").ask(Describe(), 60)
    cell = Cell.of(input_size=3, hidden_size=4, sequence_length=3, batch_size=2)
    found = measure(cell, {"numpy": in_process_worker(), name: refused.value}, budget_s=0.05)
    good, row = (row for row, _ in found.results)
    assert good.status in TIMED, good.reason
    assert_row(name, status, reason, row)


@pytest.fixture(scope="module")
def swept(shared_bench):
    """Two sweeps with the faulty backends between two good ones: of one cell with most of them, of two with those of AGAIN."""
    for name, (text, _, _) in OF_PROCESSES.items():
        shared_bench.file(f"{name}.py", text)
    shared_bench.file("backward_segfaults.py", backward(BACKWARD["backward_segfaults"][0]))
    good = shared_bench.file("good.py", forward("pass")) + ":X"
    once = [f"{name}.py:X" for name in OF_PROCESSES if name not in AGAIN]
    names = ["numpy", *once, "no_such_file.py:X", "nunpy", "no.such.module:X", good]
    first = shared_bench.sweep(shared_bench.tiny(names, steps=[3]), timeout=240)
    names = ["numpy", *(f"{name}.py:X" for name in AGAIN), "backward_segfaults.py:X", good]
    second = shared_bench.sweep(shared_bench.tiny(names, steps=[3, 4], mode="training"), timeout=240)
    return (first, second), shared_bench.rows()


@pytest.mark.parametrize("name", [*OF_PROCESSES, "backward_segfaults"])
def test_a_fault_of_a_process_ends_in_its_own_row(swept, name):
    _, status, reason = OF_PROCESSES.get(name) or BACKWARD[name]
    rows = [row for row in swept[1] if row["backend"] == f"{name}.py:X"]
    assert len(rows) == 2 if name in (*AGAIN, "backward_segfaults") else 1
    for row in rows:
        assert_row(name, status, reason, row)


def test_good_backends_in_the_same_cells_have_their_times(swept):
    for name in ("numpy", "good.py:X"):
        rows = [row for row in swept[1] if row["backend"] == name]
        assert [row["status"] in TIMED for row in rows] == [True] * 3, [row["reason"] for row in rows]


def test_backends_that_do_not_exist_are_unavailable(swept):
    for name, reason in [
        ("no_such_file.py:X", "no such file"),
        ("nunpy", "did you mean numpy"),
        ("no.such.module:X", "no module"),
    ]:
        (row,) = (row for row in swept[1] if row["backend"] == name)
        assert (row["status"], reason in row["reason"]) == ("UNAVAILABLE", True)


def test_faults_are_exit_1_and_nothing_else_is_printed(swept, shared_bench):
    for done, cells in zip(swept[0], (1, 2), strict=True):
        assert done.returncode == 1
        assert done.stdout == ""
        lines = done.stderr.strip().splitlines()
        assert len(lines) == cells + 2, done.stderr[-3000:]  # a line a cell, two lines of summary
        assert [line.startswith(f"[{number}/{cells}]") for number, line in enumerate(lines[:cells], 1)] == [True] * cells
    assert len(swept[1]) == len(OF_PROCESSES) - len(AGAIN) + 5 + 2 * (len(AGAIN) + 3)
    assert list(shared_bench.temporary.iterdir()) == []


HALF_AN_ANSWER = r"b'\x00\x10\x00\x00x'"
"""The length of a message, as multiprocessing writes it, and one byte of it."""


def test_a_hang_ends_in_its_own_row(bench):
    bench.file("hangs.py", forward("n == 2 and time.sleep(99)"))
    bench.file("hangs_at_import.py", "import time; time.sleep(99)")
    bench.file("leaves_a_child.py", forward("os.fork() or (time.sleep(6), os._exit(0)); os._exit(4)"))
    bench.file("loud_hang.py", forward("[print('z' * 1000) for _ in range(10**9)]"))
    to_pipes = (
        "[os.write(k, {}) for k in range(3, 64) if os.path.exists(p := f'/proc/self/fd/{{k}}') and 'socket' in os.readlink(p)]"
    )
    bench.file("half_an_answer.py", forward(f"n == 2 and ({to_pipes.format(HALF_AN_ANSWER)}, time.sleep(99))"))
    bench.file("writes_to_the_pipe.py", forward("n == 2 and " + to_pipes.format("b'debug: step 3'")))
    names = ["hangs", "hangs_at_import", "loud_hang", "half_an_answer", "writes_to_the_pipe", "leaves_a_child"]
    sweep = bench.tiny(["numpy", *(f"{name}.py:X" for name in names)], steps=[3])
    patch = "from lstm_parity.harness.sweep import measure as m, workers as w\nm.MIN_LIMIT_S, w.IMPORT_LIMIT_S = 2.5, 8"
    done = bench.sweep(sweep, patch=patch)
    rows = {row["backend"]: row for row in bench.rows()}
    assert rows["numpy"]["status"] in TIMED
    assert [row["status"] for row in rows.values()][1:] == ["TIMEOUT"] * 5 + ["CRASHED"], [
        row["reason"] for row in rows.values()
    ]
    assert rows["leaves_a_child.py:X"]["reason"] == "the process exited with code 4"  # its child held the pipe open
    assert rows["hangs.py:X"]["reason"] == "no answer to 'go' within 2.5 s"
    for name in ("half_an_answer", "writes_to_the_pipe"):
        assert rows[f"{name}.py:X"]["reason"] == "it began an answer and did not finish it"
    assert rows["hangs_at_import.py:X"]["reason"] == "no answer to 'describe' within 8 s"
    assert re.fullmatch("no answer to 'check' within 2.5 s; last output: [z ]{600}", rows["loud_hang.py:X"]["reason"])
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 3


def test_a_hang_between_two_cells_costs_neither_its_time(bench):
    name = bench.file("hangs_in_close.py", forward("pass") + "    def close(self): time.sleep(99)\n") + ":X"
    done = bench.sweep(
        bench.tiny(["numpy", name]), patch="import lstm_parity.harness.sweep.workers as w\nw.CLOSE_LIMIT_S = 0.3"
    )
    assert done.returncode == 0, done.stderr
    assert [(row["cell"], row["status"] in TIMED) for row in bench.rows()] == [(0, True), (0, True), (1, True), (1, True)]


def test_what_a_backend_prints_is_bounded(tmp_path):
    """A worker that prints without end fills no disk: what is kept is looked after while it runs."""
    path = tmp_path / "loud.py"
    path.write_text(forward("pass", "[print('z' * 1000) for _ in range(10**5)]; print('the end')"))
    client = WorkerClient(SweepServer, f"{path}:X", 1)
    try:
        assert client.ask(Describe(), 60).unavailable is None
        cell = Cell.of(input_size=3, hidden_size=4, sequence_length=2, batch_size=2)
        client.ask(Open(cell, 0, None, 2, 0), 60)
        assert os.fstat(client._output.fileno()).st_size <= 2**20
        assert client._quoted_output().endswith("the end")
        assert not client._path.exists()
    finally:
        client.close()


@pytest.fixture
def small_group():
    """A control group of 400 MB: its limit is set, and this is the file that takes members."""
    parent, limit = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
    if not parent.is_dir():
        parent, limit = Path("/sys/fs/cgroup"), "memory.max"
    group = parent / f"lstm-parity-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"UNVERIFIED: no control group can be made here ({error.strerror})")
    try:
        (group / limit).write_text(str(400 * 2**20))
    except OSError as error:
        group.rmdir()
        pytest.skip(f"UNVERIFIED: the control group takes no limit ({error.strerror})")
    yield group / "cgroup.procs"
    group.rmdir()


def test_a_leak_that_the_system_ends_is_out_of_memory(bench, small_group):
    """The kernel's own killer, at the limit of a control group."""
    join = f"n == 1 and open('{small_group}', 'w').write(str(os.getpid()))"
    body = f"{join}; self.kept += [np.ones(2**20) for _ in range(100 * n)]"
    name = bench.file("leaks.py", forward(body, "self.kept = []")) + ":X"
    done = bench.sweep(bench.tiny(["numpy", name], steps=[3, 4]), timeout=180)
    rows = bench.rows()
    assert [row["status"] in TIMED for row in rows if row["backend"] == "numpy"] == [True, True]
    found = [(row["status"], row["reason"]) for row in rows if row["backend"] == name]
    assert found == [("OUT_OF_MEMORY", "killed by the system for want of memory")] * 2
    assert done.returncode == 1


@pytest.mark.parametrize("survived", [True, False])
def test_a_kill_for_want_of_memory_is_of_this_worker_only_if_it_went_with_it(monkeypatch, survived):
    """The system counts those of all processes: one that this worker outlived says nothing of its own end."""
    kills = [3]
    monkeypatch.setattr("lstm_parity.harness.worker.client.oom_kills", lambda: kills[0])
    monkeypatch.setattr("lstm_parity.harness.worker.client.KILLS_S", 0.0)
    client = WorkerClient(SweepServer, "numpy", 1)
    try:
        client.ask(Describe(), 60)
        kills[0] += 1
        if survived:
            client.ask(Describe(), 60)
        os.kill(client._process.pid, signal.SIGKILL)
        client._process.wait()
        with pytest.raises(WorkerError) as ended:
            client.ask(Describe(), 60)
    finally:
        client.close()
    wanted = ("CRASHED", "killed by SIGKILL") if survived else ("OUT_OF_MEMORY", "killed by the system for want of memory")
    assert (ended.value.status, ended.value.reason) == wanted
