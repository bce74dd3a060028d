"""`memory-steady`: growth with every call is found by one of the meters, and memory that is allocated once is no leak."""

import ctypes
import mmap
import sys
import types
from collections import deque

import numpy as np
import pytest

from lstm_parity.backends import Capabilities, LSTMSpec
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.machine.memory_usage import DEVICE, MALLOC, PYTHON, RESIDENT, meters
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.check import Check
from lstm_parity.harness.verify.checks import CHECKS, memory
from lstm_parity.harness.verify.isolation import steady
from lstm_parity.harness.verify.isolation.execute import execute
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.isolation.steady import growths
from lstm_parity.harness.verify.program import Program
from lstm_parity.harness.verify.results import Options
from lstm_parity.harness.verify.search import search
from lstm_parity.harness.verify.suite import run_check

CHECK: Check = next(check for check in CHECKS if check.name == "memory-steady")
pytestmark = pytest.mark.deep
linux = pytest.mark.skipif(sys.platform != "linux", reason="malloc and resident memory are read as on Linux")


class Base(NumpyLSTM):
    capabilities = Capabilities()

    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.kept, self.calls = [], 0

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x, state, lengths, training)
        self.calls += 1
        self.left_behind(x, y, last)
        return y, last

    def left_behind(self, x, y, last):
        """Leave something in memory after a call."""


def leaving(left_behind, **changes):
    return type("Leaving", (Base,), {"left_behind": left_behind, **changes})


class Backward(Base):
    capabilities = Capabilities(gradients=True)

    def backward(self, *arguments):
        found = super().backward(*arguments)
        self.kept.append(found.h0)
        return found


def allocated(self, *_):
    malloc = ctypes.CDLL(None).malloc
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    malloc(1024)


def mapped(self, *_):
    kind = mmap.MAP_SHARED if self.calls % 2 else mmap.MAP_PRIVATE
    self.kept.append(mmap.mmap(-1, 4096, kind | mmap.MAP_ANONYMOUS))
    self.kept[-1][0] = 1


@pytest.fixture(autouse=True)
def _fewer_calls(monkeypatch):
    monkeypatch.setattr(steady, "CALLS", 300)


LEAKS = {
    "every x": (leaving(lambda self, x, y, last: self.kept.append(x)), PYTHON),
    "every y": (leaving(lambda self, x, y, last: self.kept.append(y)), PYTHON),
    "a view of every c": (leaving(lambda self, x, y, last: self.kept.append(last.c[0, 0])), PYTHON),
    "a kibibyte": (leaving(lambda self, *_: self.kept.append(bytes(1024))), PYTHON),
    "a kibibyte in every third call": (
        leaving(lambda self, *_: self.kept.append(bytes(1024)) if self.calls % 3 == 0 else None),
        PYTHON,
    ),
    "ten numbers": (leaving(lambda self, *_: self.kept.extend(float(self.calls + k) for k in range(10))), PYTHON),
    "a kibibyte of malloc's": pytest.param(leaving(allocated), MALLOC, marks=linux),
    "a page of a mapping": pytest.param(leaving(mapped), RESIDENT, marks=linux),
    "a gradient": (Backward, PYTHON),
}
KEPT = {
    "nothing": Base,
    "the last eight": leaving(lambda self, x, y, last: self.kept.append(y.copy()) or self.kept.__delitem__(slice(0, -8))),
    "a cache that is full after 50 calls": leaving(
        lambda self, *_: self.kept.append(np.ones(1000)) if self.calls <= 50 else None
    ),
    "a megabyte now and then": leaving(lambda self, *_: self.kept.append(bytes(2**20)) if self.calls in (100, 170) else None),
    "the time of each of the last calls": leaving(
        lambda self, *_: self.times.append(float(self.calls)), times=deque(maxlen=100_000)
    ),
    "cycles that wait for the collector": leaving(lambda self, x, y, last: (ring := [y.copy()]).append(ring)),
}


def searched(backend, **options):
    return search(CHECK, LocalExecutor(backend), backend.capabilities, examples=1, seed_value=3, shrink=False, **options)


@pytest.mark.parametrize(
    ("backend", "meter"), [x if hasattr(x, "marks") else pytest.param(*x, id=name) for name, x in LEAKS.items()]
)
def test_memory_that_every_call_leaks_is_found(backend, meter):
    found = searched(backend)
    assert found.failure is not None
    assert found.failure.kind == "leak"
    assert meter in found.failure.reason, found.failure.reason
    what = "a training step" if backend is Backward else "a call"
    assert f"{what} leaks memory, measured over 300 calls: " in found.failure.reason


@pytest.mark.parametrize("backend", KEPT.values(), ids=KEPT.keys())
def test_what_does_not_grow_with_every_call_is_no_leak(backend):
    found = searched(backend)
    assert found.failure is None
    assert found.examples == 1


class Counting(LocalExecutor):
    def __init__(self, backend):
        super().__init__(backend)
        self.programs = []

    def run(self, program):
        self.programs.append(program)
        return super().run(program)


def test_a_leak_is_reported_without_a_counterexample(tmp_path):
    backend, _ = LEAKS["every x"]
    counting = Counting(backend)
    result = run_check(CHECK, "mine", counting, backend.capabilities, Options(folder=tmp_path))
    assert len(counting.programs) == 1  # a smaller problem would leak as well
    assert (result.status, result.counterexample) == ("FAIL", None)
    assert not list(tmp_path.iterdir())


def test_a_backend_that_is_too_slow_is_unverified(monkeypatch):
    monkeypatch.setattr(steady, "LIMIT_S", 0.0)
    result = run_check(CHECK, "mine", LocalExecutor(Base), Base.capabilities, Options())
    assert result.status == "UNVERIFIED"
    assert "a call was made 0 times in 0 s, too few to detect a leak" in result.reason


def test_a_backend_that_fails_in_one_of_many_calls_is_reported():
    def fails(self, *_):
        if self.calls == 40:
            raise RuntimeError("out of handles")

    found = searched(leaving(fails))
    assert found.failure is not None
    assert found.failure.kind == "raised"
    assert "in 300 calls: the backend raised RuntimeError: out of handles" in found.failure.reason


def test_each_call_gets_arrays_of_its_own_and_the_instance_is_closed():
    seen = []

    class Watching(Base):
        def left_behind(self, x, y, last):
            seen.append(x)

        def close(self):
            seen.append("closed")

    problem = draw_problem(LSTMSpec(3, 4), 1, 2, 0)
    ran = execute(Watching, Program(((problem.spec, problem.weights),), ((0, problem.inputs),), repeat=40))
    assert (len(seen), seen.pop()) == (41, "closed")
    assert len({id(x) for x in seen}) == 40
    assert len(ran.memory) == steady.READINGS
    assert PYTHON in ran.memory[0]


def readings(*values, meter=PYTHON):
    return [{meter: value} for value in values]


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        ([9_000_000 + 300 * k for k in range(10)], 10.0),
        ([9_000_000 - 300 * k for k in range(10)], -10.0),
        ([0] * 3 + [10**9] * 7, 0.0),  # once
        ([0, 0, 0, 1, 1, 2, 2, 3, 3, 3], 0.0),  # in every part but the last
        ([0, 10**9, 10**9, 10**9, 10**9 + 100, *[10**9 + 200 * k for k in range(1, 6)]], 0.0),
    ],
)
def test_the_part_in_which_it_grows_least_counts(values, grows):
    (found,) = growths(readings(*values), 30, 1000)
    assert found.bytes_a_call == pytest.approx(grows, abs=0.02)


def test_allowed_growth_is_a_quarter_of_what_is_returned_up_to_a_maximum():
    for meter, returned, allowed in [
        (PYTHON, 400, 100),
        (MALLOC, 400, 100),
        (DEVICE, 10**6, steady.MAX_GROWTH),
        (RESIDENT, 400, steady.MAX_PAGE_GROWTH),
    ]:
        (found,) = growths(readings(*range(10), meter=meter), 1, returned)
        assert found.allowed == allowed
    for rate, leaks in ((99, False), (101, True)):
        (found,) = growths(readings(*(rate * 30 * k for k in range(10))), 30, 400)
        assert found.leaks is leaks
    assert growths(readings(1, 2, 3), 1, 400) == []


def test_a_kibibyte_in_every_third_call_is_a_leak_however_much_is_returned():
    values = [1057 * (100 * k // 3) for k in range(1, 11)]
    for meter in (PYTHON, MALLOC, DEVICE):
        (found,) = growths(readings(*values, meter=meter), 100, 10**9)
        assert found.leaks
    pages = [4096 * (100 * k // 3) for k in range(1, 11)]
    (found,) = growths(readings(*pages, meter=RESIDENT), 100, 400)
    assert found.leaks


def test_meters_read_memory_usage_and_end_tracing():
    import tracemalloc

    assert not tracemalloc.is_tracing()
    with meters() as read:
        before, array, pages = read(), np.ones(10**6), mmap.mmap(-1, 10**7)
        pages.write(bytes(10**7))
        after = read()
        del array
        pages.close()
        last = read()
    assert not tracemalloc.is_tracing()
    assert after[PYTHON] - before[PYTHON] == pytest.approx(8e6, rel=0.01)
    assert abs(last[PYTHON] - before[PYTHON]) < 1e5
    if sys.platform == "linux":
        assert after[RESIDENT] - before[RESIDENT] > 9e6
    tracemalloc.start()
    try:
        with meters():
            pass
        assert tracemalloc.is_tracing()  # tracing that was on stays on
    finally:
        tracemalloc.stop()


def test_memory_of_the_pools_of_both_libraries_is_read(monkeypatch):
    pool = types.SimpleNamespace(used_bytes=lambda: 70)
    cuda = types.SimpleNamespace(is_initialized=lambda: True, memory_allocated=lambda: 7)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(get_default_memory_pool=lambda: pool))
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    with meters() as read:
        assert read()[DEVICE] == 77
        cuda.is_initialized = lambda: False
        assert read()[DEVICE] == 70
        del pool.used_bytes  # as where there is no device
        assert DEVICE not in read()


def test_the_problems_have_two_steps_and_32_rows_in_inference_and_training():
    counting = Counting(NumpyLSTM)
    assert memory.MANY_ROWS.max_steps <= 2
    search(CHECK, counting, NumpyLSTM.capabilities, examples=1, seed_value=1, shrink=False)
    assert [program.calls[0][1].grad_y is not None for program in counting.programs] == [False, True]
    for program in counting.programs:
        assert program.calls[0][1].x.shape[:2] in [(1, 32), (2, 32)]
