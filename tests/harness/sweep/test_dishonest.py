"""Backends that cheat, each with one line that says how: none of them gets a time. And honest ones that look like them: all do.

A row says WRONG where numbers are not what they should be, and SUSPECT where a time is not to be believed. Some backends look
for what a cheat could use, and stop with an error when they find it: they are to find nothing, and get their time.
`work()` stands for computing that takes long, however fast the machine is.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from lstm_parity.backends import Capabilities, UnsupportedError
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.records import TIMED, Cell
from lstm_parity.harness.sweep.inputs import InputRing, call_key, draw_rows
from lstm_parity.harness.sweep.messages import CheckRequest, Open, Prepare
from lstm_parity.harness.sweep.sampling import Contestant
from lstm_parity.harness.sweep.session import Session

pytestmark = [pytest.mark.deep, pytest.mark.quiet]

HEAD = """\
import gc, itertools, os, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import ml_dtypes
import numpy as np
from lstm_parity import Capabilities, LSTMBackend, LSTMGradients, LSTMState, LSTMWeights
from lstm_parity.backends.numpy_lstm import NumpyLSTM
def work(seconds=0.005): time.sleep(seconds)
"""
IN_TIMED_CALL = r"in timed call \d+: "
NOT_THERE = "y, a state or a gradient was not there yet, or changed, after the call had returned"
BESIDE = "to_device and to_host take .* s beside a call: work is done before the clock starts or put off until .*"
PARENT = r"the worker says .* s a sample, the parent's clock .* s"


@dataclass(frozen=True)
class Backend:
    """Source of a module with the class X, what it does, and what its row is to say."""

    does: str
    source: str
    status: tuple[str, ...]
    reason: str | None


def cheat(does, status, reason, source):
    return Backend(does, HEAD + source, (status,), reason)


def honest(does, source):
    return Backend(does, HEAD + source, TIMED, None)


def forward(body, setup="pass", more=""):
    """NumpyLSTM whose forward has `body` in it: y, state are the right answer, n counts the calls from 0, `timed` is n > 0."""
    return f"""
class X(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.n, self.weights = -1, weights
        {setup}
    def forward(self, x, before, lengths=None, training=False):
        self.n += 1
        n, timed = self.n, self.n > 0
        y, state = super().forward(x, before, lengths, training)
        {body}
        return y, state
{more}"""


def finds_nothing(keys):
    """Keeps what `keys` gives for each call, and stops with an error when one comes again."""
    return forward(
        f"k = {keys}; assert self.seen.isdisjoint(k) and len(set(k)) == len(k); self.seen.update(k)", "self.seen = set()"
    )


def remembers(key):
    """Gives the first answer for a key again and again."""
    return forward(f"y, state = self.kept.setdefault({key}, (y.copy(), state))", "self.kept = {}")


def in_precision(change, when="timed"):
    """The right answer, but for a layer whose products have their operands changed by `change(array)`."""
    return f"""
def change(a): return {change}
def sigmoid(z): return 1 / (1 + np.exp(-z))
class X(NumpyLSTM):
    n = -1
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.w = weights.layers[0][0]
    def forward(self, x, before, lengths=None, training=False):
        self.n += 1
        timed = self.n > 0
        if not ({when}): return super().forward(x, before, lengths, training)
        w, u, b = change(self.w.w_ih.T), change(self.w.w_hh.T), self.w.b_ih + self.w.b_hh
        h, c, ys = before.h[0], before.c[0], []
        for step in x:
            i, f, g, o = np.split((change(step) @ w + change(h) @ u).astype(np.float32) + b, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            ys.append(h)
        return np.stack(ys), LSTMState(h[None], c[None])
"""


BOXES = """
class Box:
    # An array of a kind of its own, whose values come when somebody asks for them.
    def __init__(self, make): self.make = make
    def array(self):
        if callable(self.make): self.make = self.make()
        return self.make
    def __setitem__(self, where, value):
        if not callable(self.make): self.make[where] = value
class Boxed(NumpyLSTM):
    def to_device(self, a): return Box(a)
    def to_host(self, a): return a.array()
    def compute(self, x, before): return super().forward(x.array(), LSTMState(before.h.array(), before.c.array()))
"""
EAGER = """
class X(NumpyLSTM):
    n, ahead = -1, False
    def to_device(self, a):
        if a.ndim == 3 and len(a) > 1:
            self.n += 1
            self.ahead = {when}
            if self.ahead: work()
        return a
    def forward(self, x, before, lengths=None, training=False):
        self.ahead or work()
        return super().forward(x, before, lengths, training)
"""

CHEATS = {
    # The buffer that still holds the right answer of an earlier call.
    "same_buffer": cheat(
        "returns the buffer of the first call",
        "WRONG",
        IN_TIMED_CALL + "y .*nan.*",
        forward("self.y = self.y if timed else y; y = self.y", "self.y = None"),
    ),
    "two_buffers": cheat(
        "returns two buffers in turns",
        "WRONG",
        IN_TIMED_CALL + "y .*nan.*",
        forward("y = self.kept.setdefault(n % 2, y)", "self.kept = {}"),
    ),
    "its_last_buffer": honest(
        "looks for an answer in the array that it returned before",
        forward("assert not timed or np.isnan(self.last).all(); self.last = y"),
    ),
    "memory_as_it_is": cheat(
        "returns memory that nobody has written, where an earlier answer may lie",
        "WRONG",
        IN_TIMED_CALL + "y .*",
        forward("y = np.empty_like(y) if timed else y"),
    ),
    # A cache keyed by pointer, shape or content.
    "by_pointer": cheat("remembers by where about x lies", "WRONG", IN_TIMED_CALL + ".*", remembers("x.ctypes.data >> 28")),
    "by_shape": cheat("remembers by the shape of x", "WRONG", IN_TIMED_CALL + ".*", remembers("x.shape")),
    "by_size_of_values": cheat(
        "remembers rows by |x|, which is the same while only signs change",
        "WRONG",
        IN_TIMED_CALL + ".*",
        forward(
            "for b in range(x.shape[1]): y[:, b] = self.kept.setdefault(np.abs(x[:, b]).tobytes(), y[:, b].copy())",
            "self.kept = {}",
        ),
    ),
    "by_row": honest("looks for a row of x that it has seen", finds_nothing("[x[:, b].tobytes() for b in range(x.shape[1])]")),
    "by_step": honest(
        "looks for a step of a row of x that it has seen", finds_nothing("[v.tobytes() for step in x for v in step]")
    ),
    "its_old_inputs": honest(
        "looks for inputs to come in the arrays that it was given for earlier calls",
        forward("assert all((a == b).all() for a, b in self.given); self.given += [(x, x.copy())]", "self.given = []"),
    ),
    "by_state": honest("looks for a row's state that it has seen", finds_nothing("[v.tobytes() for v in before.c[0]]")),
    # Elsewhere: another stream, a thread, on first read.
    "in_a_thread": cheat(
        "returns before its thread has written y",
        "WRONG",
        f"({IN_TIMED_CALL})?y.*",
        forward(
            "right, y = y, np.zeros_like(y); timed or np.copyto(y, right); "
            "timed and threading.Thread(target=lambda: (work(3e-4), np.copyto(y, right))).start()"
        ),
    ),
    "all_but_the_last_step_in_a_thread": cheat(
        "a thread that writes all of y but its last step is waited for when y is read for the second time",
        "WRONG",
        NOT_THERE,
        forward(
            "right, y = y, y.copy(); y[:-1] *= not timed; self.late = (y, right); self.reads = 0",
            more="""
    def to_host(self, a):
        if a is self.late[0]: self.reads += 1
        if self.reads > 1: np.copyto(*self.late)
        return a
""",
        ),
    ),
    "on_first_read": cheat(
        "does nothing until a result is read",
        "SUSPECT",
        BESIDE,
        BOXES
        + """
class X(Boxed):
    def forward(self, x, before, lengths=None, training=False):
        done = Box(lambda: (work(), self.compute(x, before))[1])
        return Box(lambda: done.array()[0]), LSTMState(Box(lambda: done.array()[1].h), Box(lambda: done.array()[1].c))
""",
    ),
    "state_on_first_read": cheat(
        "leaves the last state until it is read",
        "SUSPECT",
        BESIDE,
        BOXES
        + """
class X(Boxed):
    def forward(self, x, before, lengths=None, training=False):
        y, state = self.compute(x, before)
        return Box(y), LSTMState(Box(lambda: (work(), state.h)[1]), Box(lambda: state.c))
""",
    ),
    "on_most_reads": cheat(
        "puts its work off in three calls of four",
        "SUSPECT",
        BESIDE,
        forward(
            "self.y, self.waits = y, n % 4 > 0; self.waits or work()",
            more="    def to_host(self, a):\n        a is self.y and self.waits and work()\n        return a\n",
        ),
    ),
    "before_the_call": cheat("works as soon as it gets x, before the call", "SUSPECT", BESIDE, EAGER.format(when="True")),
    "before_most_calls": cheat("does so for three calls of four", "SUSPECT", BESIDE, EAGER.format(when="self.n % 4 > 0")),
    "when_waited_for": cheat(
        "works in synchronize, which is called before the clock starts, too",
        "SUSPECT",
        BESIDE,
        forward("pass", more="    def synchronize(self): work()\n"),
    ),
    # Writes into its inputs so that the reference goes wrong too.
    "writes_x": cheat("fills x with zeros when it has read it", "WRONG", IN_TIMED_CALL + ".*", forward("x[...] = 0")),
    "writes_x_a_little": cheat("makes x a little larger", "WRONG", IN_TIMED_CALL + ".*", forward("x *= np.float32(1.001)")),
    "writes_the_state": cheat("fills c0 with zeros", "WRONG", IN_TIMED_CALL + ".*", forward("before.c[...] = 0")),
    # NaN where a comparison is false anyway.
    "nan_when_timed": cheat(
        "returns NaN, which is not larger than any bound",
        "WRONG",
        IN_TIMED_CALL + "y .* got nan.*",
        forward("y[1:, timed:] *= np.nan if timed else 1"),
    ),
    # Lower precision than promised.
    "float16": cheat(
        "multiplies in float16 when it is timed", "WRONG", IN_TIMED_CALL + ".*", in_precision("a.astype(np.float16)")
    ),
    "bfloat16": cheat(
        "cuts operands to bfloat16 when it is timed",
        "WRONG",
        IN_TIMED_CALL + ".*",
        in_precision("a.astype(ml_dtypes.bfloat16).astype(np.float32)"),
    ),
    "tf32": cheat(
        "cuts operands to TF32 when it is timed",
        "WRONG",
        IN_TIMED_CALL + ".*",
        in_precision("(np.ascontiguousarray(a).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)"),
    ),
    # Less work when it recognises a timed call, a warm-up, a seed, or zeros.
    "by_count": cheat("is right the first time only", "WRONG", IN_TIMED_CALL + ".*", forward("y = y * (not timed)")),
    "leaves": cheat(
        "ends its process when it is timed", "CRASHED", "the process exited with code 0", forward("n < 3 or os._exit(0)")
    ),
    "after_the_warm_up": cheat(
        "is right in the first three calls only", "WRONG", IN_TIMED_CALL + ".*", forward("y = y * (n < 3)")
    ),
    "by_its_callers": cheat(
        "looks up the stack whether a clock runs",
        "WRONG",
        IN_TIMED_CALL + ".*",
        forward(
            "frame, names = sys._getframe(), set()\n"
            "        while frame: names.add(frame.f_code.co_name); frame = frame.f_back\n"
            "        y = y * ('go' not in names)"
        ),
    ),
    "by_its_seed": honest(
        "looks whether x comes from one of the seeds that everybody takes",
        forward(
            "found = set(np.abs(x.ravel()).tolist())\n"
            "        for s in (0, 1, 42, 1234):\n"
            "            for rng in (np.random.default_rng(s), np.random.RandomState(s)):\n"
            "                assert not set(np.abs(rng.standard_normal(9)).astype(np.float32).tolist()) <= found"
        ),
    ),
    "by_zeros": honest("looks for inputs that are zero", forward("assert x.all() and before.h.all() and before.c.all()")),
    # Skips a part.
    "tail_of_the_batch": cheat(
        "gives zeros for the last rows of a batch", "WRONG", IN_TIMED_CALL + ".*", forward("y[:, 3:] *= not timed")
    ),
    "copies_rows": cheat(
        "computes the first rows only and copies them",
        "WRONG",
        IN_TIMED_CALL + ".*",
        forward("y[:, 4:] = y[:, :4] if timed else y[:, 4:]"),
    ),
    "last_steps": cheat(
        "repeats a step instead of the last ones", "WRONG", IN_TIMED_CALL + ".*", forward("y[-2:] = y[-3] if timed else y[-2:]")
    ),
    "last_units": cheat(
        "leaves out units beyond a multiple of eight", "WRONG", "y is first wrong .*", forward("y[..., 16:] = 0")
    ),
    "state_alone": cheat(
        "returns the initial state as the last",
        "WRONG",
        IN_TIMED_CALL + "c_n .*",
        forward("state.c[...] = before.c if timed else state.c"),
    ),
    # Lets a failed launch pass. One that falls back to another device has a test of its own, below.
    "launch_fails": cheat(
        "goes on when its kernel fails, which happens to all but the first",
        "WRONG",
        IN_TIMED_CALL + ".*",
        forward(
            "y, state, right = np.zeros_like(y), LSTMState(np.zeros_like(state.h), np.zeros_like(state.c)), (y, state)\n"
            "        try:\n"
            "            if timed: raise RuntimeError('too many resources requested for launch')\n"
            "            y, state = right\n"
            "        except RuntimeError: pass"
        ),
    ),
    # Patches the clock. What it says then is held against the parent's clock.
    "patches_time": honest("stops Python's clock", forward("time.perf_counter = lambda: 0.0")),
    "patches_the_module": honest(
        "stops the clock that the harness has imported",
        "import lstm_parity.harness.sweep.server\nharness.sweep.server.perf_counter = lambda: 0.0\n" + forward("pass"),
    ),
    "stops_the_stopwatch": cheat(
        "replaces the harness's stopwatch by one that always says a microsecond",
        "SUSPECT",
        PARENT,
        """
from lstm_parity.harness.sweep.device import CPUStopwatch
CPUStopwatch.time = lambda self, calls: (calls(), (1e-6, None))[1]
"""
        + forward("timed and work(0.03)"),
    ),
    **{
        f"says_{text.strip('-')}": cheat(
            f"replaces the harness's stopwatch by one that says {text} seconds, after the warm-up",
            "SUSPECT",
            f"the worker says {text} s a call",
            f"""
from lstm_parity.harness.sweep.device import CPUStopwatch
right, count = CPUStopwatch.time, itertools.count()
def says(took): return (took if next(count) < 3 else float("{text}"), None)
CPUStopwatch.time = lambda self, calls: says(right(self, calls)[0])
"""
            + forward("pass"),
        )
        for text in ("0",)
    },
    "slows_the_clock": cheat(
        "finds the session's clock in memory and slows it a hundred times",
        "SUSPECT",
        PARENT,
        forward(
            "timed and work(0.03); n or self.slow()",
            more="""
    def slow(self):
        for found in gc.get_objects():
            if type(found).__name__ == "CPUStopwatch":
                clock = found._clock
                found._clock = lambda: clock() / 100
""",
        ),
    ),
    # Lazy or subclassed arrays.
    "subclass": cheat(
        "returns a subclass of ndarray when it is timed",
        "WRONG",
        "y is a memmap, expected .*",
        forward("y = y.view(np.memmap) if timed else y"),
    ),
    "subclass_everywhere": cheat(
        "has a subclass of ndarray as its kind of array",
        "WRONG",
        "y is a recarray, expected float32 of shape .*",
        """
class X(NumpyLSTM):
    def to_device(self, a): return a.view(np.recarray)
    def forward(self, x, before, lengths=None, training=False):
        y, state = super().forward(np.asarray(x), LSTMState(np.asarray(before.h), np.asarray(before.c)))
        return self.to_device(y), LSTMState(self.to_device(state.h), self.to_device(state.c))
    def to_host(self, a): return a
""",
    ),
    "one_row_for_all": cheat(
        "returns a broadcast view of one row",
        "WRONG",
        IN_TIMED_CALL + ".*",
        forward("y = np.broadcast_to(y[:, :1], y.shape) if timed else y"),
    ),
    "right_at_first": cheat(
        "is right until it has been checked often enough, and returns zeros afterwards",
        "WRONG",
        IN_TIMED_CALL + ".*",
        forward("if n > 8: y = np.zeros_like(y); state = LSTMState(np.zeros_like(state.h), np.zeros_like(state.c))"),
    ),
    "nothing_until_it_is_asked": cheat(
        "has no array for whoever reads the result once, and computes for whoever reads it again",
        "WRONG",
        "to_host gave a NoneType for what a timed call returned, expected a NumPy array",
        """
class X(NumpyLSTM):
    n, out, seen = -1, (), ()
    def forward(self, x, before, lengths=None, training=False):
        self.n += 1
        self.todo, self.seen = (x, before), set()
        y = np.empty((*x.shape[:2], before.c.shape[2]), x.dtype)
        state = LSTMState(np.empty_like(before.h), np.empty_like(before.c))
        self.out = (y, state.h, state.c)
        work(0.0005)
        return y, state
    def to_host(self, a):
        for k, array in enumerate(self.out):
            if a is array:
                if self.n and k not in self.seen: return self.seen.add(k)
                y, state = super().forward(*self.todo)
                return (y, state.h, state.c)[k]
        return a
""",
    ),
    "promises_that_run": cheat(
        "promises something that runs in the process that asks for it",
        "CRASHED",
        "unreadable answer: UnpicklingError: it names builtins.exec, which is no plain data",
        """
class Text(str):
    def __reduce__(self): return exec, ("import os; open('ran', 'w'); os._exit(9)",)
class X(NumpyLSTM):
    capabilities = Capabilities()
    object.__setattr__(capabilities, "device", Text("cpu"))
""",
    ),
    "hardly_any_promise": cheat(
        "promises so little of its activations that zeros would do",
        "UNAVAILABLE",
        ".*activation_ulps must be a number from 0 to 131072, not 1000000000.0",
        "class X(NumpyLSTM): capabilities = Capabilities(activation_ulps=1e9)\n",
    ),
}
HALF = """
import hashlib
CORES = sorted(os.sched_getaffinity(0))
def half(k):
    os.sched_setaffinity(0, [CORES[k % len(CORES)]])
    hashlib.pbkdf2_hmac('sha256', b'', b'', 30000)
"""


def a_child(work):
    """Methods of a backend with a process of its own, which does that and answers a byte whenever it is sent one."""
    return f"""
    def start(self):
        read, self.to = os.pipe()
        self.back, write = os.pipe()
        if os.fork() == 0:
            os.close(self.to)
            while os.read(read, 1):
                {work}
                os.write(write, b'y')
            os._exit(0)
        os.close(read)
    def close(self): os.close(self.to)
"""


CHEATS["third_read"] = cheat(
    "returns zeros, and the right answer to who reads a result for the third time",
    "WRONG",
    IN_TIMED_CALL + ".*",
    forward(
        "zeros = [np.zeros_like(a) for a in (y, state.h, state.c)]\n"
        "        if timed: self.reads = {id(z): [0, z, a] for z, a in zip(zeros, (y, state.h, state.c))}\n"
        "        if timed: y, state = zeros[0], LSTMState(*zeros[1:])",
        "self.reads = {}",
        """
    def to_host(self, array):
        read = self.reads.get(id(array), [0, array, array])
        read[0] += 1
        return read[1] if read[0] < 3 else read[2]
""",
    ),
)

CORES = {
    "more_cores": cheat(
        "keeps two cores busy where each backend was given one thread",
        "SUSPECT",
        r"it kept [12]\.\d cores busy, and all backends were given 1 thread",
        HALF + forward("list(self.pool.map(half, range(2)))", "self.pool = ThreadPoolExecutor(2)"),
    ),
    "a_child_on_another_core": cheat(
        "keeps a second core busy in a process of its own where each backend was given one thread",
        "SUSPECT",
        r"it kept [12]\.\d cores busy, and all backends were given 1 thread",
        HALF
        + forward(
            "os.write(self.to, b'x'); half(0); os.read(self.back, 1)",
            "self.start()",
            a_child("half(1)"),
        ),
    ),
}
HONEST = {
    "called_back": honest(
        "has itself called by Python at any moment, and stops with an error when that is while inputs are made ready",
        """
import signal
def preparing(frame):
    while frame is not None and frame.f_code.co_name not in ("draw", "take"): frame = frame.f_back
    return frame is not None
class X(NumpyLSTM):
    n, found = -1, ()
    def profiler(self, frame, event, argument):
        if frame.f_code.co_name in ("draw", "take"): self.found = (*self.found, "profiler")
    def look(self, how, frame):
        if preparing(frame): self.found = (*self.found, how)
    def forward(self, x, before, lengths=None, training=False):
        self.n += 1
        assert not self.found, self.found
        if self.n == 0:
            sys.setprofile(self.profiler)
            gc.callbacks.append(lambda *_: self.look("collector", sys._getframe()))
            gc.set_threshold(20)
            signal.signal(signal.SIGALRM, lambda number, frame: self.look("timer", frame))
            signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
        return super().forward(x, before, lengths, training)
""",
    ),
    "knows_the_seeds": honest(
        "draws beforehand what follows from each number that it was sent, and stops with an error when it is asked for that",
        """
from lstm_parity.harness.sweep.inputs import draw_rows
class X(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.known, self.first = set(), True
        self.look()
    def look(self):
        frame = sys._getframe()
        while "message" not in frame.f_locals: frame = frame.f_back
        message = frame.f_locals["message"]
        if hasattr(message, "cell"): self.cell, self.size = message.cell, message.ring_size
        numbers = [value for value in vars(message).values() if type(value) is int]
        assert numbers
        for number, call in itertools.product(numbers, range(1, 100)):
            rows = np.arange(self.cell.batch_size)
            self.known.add(draw_rows(self.cell, number, self.size, call, rows).x.tobytes())
    def forward(self, x, before, lengths=None, training=False):
        assert x.tobytes() not in self.known
        if self.first: self.look()
        self.first = False
        return super().forward(x, before, lengths, training)
""",
    ),
    "thread_pool": honest(
        "computes in threads of its own and waits for them",
        """
class X(NumpyLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.pool = ThreadPoolExecutor(2)
    def forward(self, x, before, lengths=None, training=False):
        return self.pool.submit(super().forward, x, before, lengths, training).result()
    def close(self): self.pool.shutdown()
""",
    ),
    "a_process": honest(
        "has a process of its own, which it asks for nothing but a byte a call, and waits for it",
        forward(
            "os.write(self.to, b'x'); os.read(self.back, 1)",
            "self.start()",
            a_child("pass"),
        ),
    ),
    "packs_once": honest(
        "packs the weights in the first call and keeps them",
        """
class X(LSTMBackend):
    capabilities = Capabilities()
    def __init__(self, spec, weights): self.w, self.packed = weights.layers[0][0], None
    def forward(self, x, before, lengths=None, training=False):
        if self.packed is None: self.packed = np.concatenate([self.w.w_ih, self.w.w_hh], axis=1).T.copy()
        h, c, ys = before.h[0], before.c[0], []
        for step in x:
            i, f, g, o = np.split(np.concatenate([step, h], axis=1) @ self.packed + self.w.b_ih + self.w.b_hh, 4, axis=1)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            ys.append(h)
        return np.stack(ys), LSTMState(h[None], c[None])
""",
    ),
    "views": honest(
        "returns views of one fresh buffer",
        forward(
            "b = np.empty(y.size + 2 * state.h.size, y.dtype); parts = np.split(b, [y.size, y.size + state.h.size])\n"
            "        for part, a in zip(parts, (y, state.h, state.c)): part[:] = a.ravel()\n"
            "        y = parts[0].reshape(y.shape); state = LSTMState(*(p.reshape(state.h.shape) for p in parts[1:]))"
        ),
    ),
    "slow_at_first": honest("is slow in its first call", forward("timed or work(0.1)")),
    "allocates_late": honest(
        "allocates its workspace in the first call, and never returns it",
        forward(
            "if n == 0: self.space = np.empty((*y.shape, 4), y.dtype)\n"
            "        self.space[..., 0] = y; y = self.space[..., 0].copy()"
        ),
    ),
    "prints": honest("prints a line a call", forward("print('call', n); print('call', n, file=sys.stderr)")),
    "reads_by_copying": honest("copies in to_host", forward("pass", more="    def to_host(self, a): return np.array(a)\n")),
    "takes_over_by_copying": honest(
        "copies in to_device", forward("pass", more="    def to_device(self, a): return np.array(a)\n")
    ),
    "boxes": honest(
        "has arrays of a kind of its own",
        BOXES
        + """
class X(Boxed):
    def forward(self, x, before, lengths=None, training=False):
        y, state = self.compute(x, before)
        return Box(y), LSTMState(Box(state.h), Box(state.c))
""",
    ),
    "batch_first": honest(
        "returns y as a view of an array that has the batch first", forward("y = y.swapaxes(0, 1).copy().swapaxes(0, 1)")
    ),
    "read_only": honest("returns what nobody may write to", forward("y.flags.writeable = False")),
    "in_float64": honest(
        "computes in float64",
        "from dataclasses import replace\n"
        "class X(NumpyLSTM):\n"
        "    def __init__(self, spec, weights):\n"
        "        super().__init__(replace(spec, precision='float64'), weights.astype(np.float64))\n"
        "    def forward(self, x, before, lengths=None, training=False):\n"
        "        wide = LSTMState(before.h.astype(np.float64), before.c.astype(np.float64))\n"
        "        y, state = super().forward(x.astype(np.float64), wide)\n"
        "        return y.astype(x.dtype), LSTMState(state.h.astype(x.dtype), state.c.astype(x.dtype))\n",
    ),
}


def backward(body, more=""):
    """NumpyLSTM whose backward has `body` in it: g are the right gradients, w those of the weights, `timed` as above."""
    return f"""
class X(NumpyLSTM):
    n = -1
    def backward(self, grad_y, grad_state):
        self.n += 1
        timed = self.n > 0
        g = super().backward(grad_y, grad_state)
        w = g.weights.layers[0][0]
        {body}
        return g
{more}"""


TRAINING_CHEATS = {
    "gradients_on_first_read": cheat(
        "leaves all of backward until a gradient is read",
        "SUSPECT",
        BESIDE,
        BOXES
        + """
class X(Boxed):
    def forward(self, x, before, lengths=None, training=False):
        y, state = NumpyLSTM.forward(self, x.array(), LSTMState(before.h.array(), before.c.array()), None, True)
        return Box(y), LSTMState(Box(state.h), Box(state.c))
    def backward(self, grad_y, grad_state):
        back = LSTMState(grad_state.h.array(), grad_state.c.array())
        done = Box(lambda: (work(), NumpyLSTM.backward(self, grad_y.array(), back)))
        def part(find): return Box(lambda: find(done.array()[1]))
        names = ("w_ih", "w_hh", "b_ih", "b_hh")
        from lstm_parity import DirectionWeights
        w = {name: part(lambda g, name=name: getattr(g.weights.layers[0][0], name)) for name in names}
        return LSTMGradients(
            part(lambda g: g.x), part(lambda g: g.h0), part(lambda g: g.c0), LSTMWeights(((DirectionWeights(**w),),))
        )
""",
    ),
    "gradients_of_weights_in_a_thread": cheat(
        "a thread that writes the weights' gradients is waited for when they are read for the second time",
        "WRONG",
        NOT_THERE,
        backward(
            "self.late = (w.w_hh, w.w_hh.copy()); self.reads = 0; w.w_hh[...] *= not timed",
            more="""
    def to_host(self, a):
        if self.n >= 0 and a is self.late[0]: self.reads += 1
        if self.n >= 0 and self.reads > 1: np.copyto(*self.late)
        return a
""",
        ),
    ),
    "before_the_backward": cheat(
        "works as soon as it gets the gradients, before the call",
        "SUSPECT",
        BESIDE,
        backward(
            "pass", more="    def to_device(self, a):\n        a.ndim == 3 and len(a) == 1 and work()\n        return a\n"
        ),
    ),
    "same_gradients": cheat(
        "returns the first call's gradients of x again",
        "WRONG",
        IN_TIMED_CALL + "gradient of x .*nan.*",
        backward("self.x = g.x if not timed else self.x; g = LSTMGradients(self.x, g.h0, g.c0, g.weights)"),
    ),
    "guessed_sum": cheat(
        "scales a gradient instead of summing over the whole batch",
        "WRONG",
        IN_TIMED_CALL + ".*b_ih.*",
        backward("timed and np.multiply(w.b_ih, 1.01, out=w.b_ih)"),
    ),
    "gradients_in_float16": cheat(
        "rounds the weights' gradients to float16 when it is timed",
        "WRONG",
        IN_TIMED_CALL + ".*w_ih.*",
        backward("w.w_ih[...] = w.w_ih.astype(np.float16) if timed else w.w_ih"),
    ),
    "truncated": cheat(
        "goes back over the last steps only", "WRONG", IN_TIMED_CALL + "gradient of x .*", backward("g.x[:2] *= not timed")
    ),
    "writes_grad_y": cheat(
        "fills grad_y with zeros when it has read it", "WRONG", IN_TIMED_CALL + ".*gradient.*", backward("grad_y[...] = 0")
    ),
    "nan_gradient": cheat(
        "returns NaN in a gradient when it is timed",
        "WRONG",
        IN_TIMED_CALL + ".*w_hh.* nan.*",
        backward("w.w_hh[-1, -1] *= np.nan if timed else 1"),
    ),
}
TRAINING_HONEST = {
    "copies_gradients": honest(
        "copies whatever it returns or is given",
        backward("pass", more="    def to_host(self, a): return np.array(a)\n    def to_device(self, a): return np.array(a)\n"),
    ),
    "thread_for_backward": honest(
        "goes back in a thread, as torch does, and waits for it",
        """
class X(NumpyLSTM):
    def backward(self, *arguments):
        found = []
        thread = threading.Thread(target=lambda: found.append(NumpyLSTM.backward(self, *arguments)))
        thread.start()
        thread.join()
        return found[0]
""",
    ),
}


def swept(bench, backends, *words):
    """One sweep with all of them beside numpy. The cell is of the kind in which most rows only change their signs."""
    names = [bench.file(f"{name}.py", backend.source) + ":X" for name, backend in backends.items()]
    sizes = ("--sequence-length", "16", "--batch-size", "8", "--input-size", "17", "--hidden-size", "17")
    done = bench.sweep(bench.tiny(["numpy", *names], budget=3), *sizes, "--warm", "--threads", "1", *words, timeout=240)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return {row["backend"].removesuffix(".py:X"): row for row in bench.rows()}


@pytest.fixture(scope="module")
def rows(shared_bench):
    bench = shared_bench
    found = swept(bench, CHEATS | HONEST)
    bench.fresh_store()
    found |= swept(
        bench, CORES, "--budget", "1"
    )  # a sweep of their own, for CPU time is counted in steps that need many samples
    bench.fresh_store()
    return found | swept(bench, TRAINING_CHEATS | TRAINING_HONEST, "--mode", "training", "--budget", "1.5")


ALL = CHEATS | CORES | HONEST | TRAINING_CHEATS | TRAINING_HONEST


@pytest.mark.parametrize("name", ALL)
def test_a_cheat_is_named_and_an_honest_one_is_timed(rows, name):
    row, backend = rows[name], ALL[name]
    said = f"{backend.does}: {row['status']}, {row['reason']}"
    assert row["status"] in backend.status, said
    assert backend.reason is None or re.fullmatch(backend.reason, row["reason"]), said
    assert (row["median_s"] is not None) == (row["status"] in TIMED)
    assert row["status"] not in TIMED or row["median_s"] > 1e-5, said  # nobody computes this cell in 10 microseconds


def test_one_that_promises_a_gpu_and_computes_without_has_no_time():
    class Pretends(NumpyLSTM):
        capabilities = Capabilities(device="cuda")

    with pytest.raises(UnsupportedError, match=r"^CUDA arrays of numpy cannot be timed"):
        Session(Pretends, Open(Cell(), 0, None, 2, 0), perf_counter)


@pytest.mark.parametrize(
    "cell",
    [
        Cell.of(input_size=1, hidden_size=1, sequence_length=1, batch_size=1),
        Cell.of(input_size=3, hidden_size=4, sequence_length=3, batch_size=8, mode="training", lengths="ragged"),
        Cell.of(input_size=1, hidden_size=300, sequence_length=3, batch_size=5, precision="bfloat16"),
        Cell.of(input_size=17, hidden_size=17, sequence_length=16, batch_size=8, mode="training", num_layers=2, proj_size=5),
        Cell.of(input_size=64, hidden_size=64, sequence_length=20, batch_size=3, lengths="ragged", precision="float64"),
    ],
    ids=str,
)
def test_no_row_comes_twice(cell):
    """Neither whole nor, from a few numbers a step on, any step of it, in any call; and the values stay as they were drawn."""
    ring, seen, steps, drawn = InputRing(cell, 2), set(), set(), []
    for call in range(60):
        ring.draw(call_key(1, call))
        inputs = ring.take(call)
        for b in range(cell.batch_size):
            row = inputs.x[:, b].tobytes() + inputs.state.h[:, b].tobytes() + inputs.state.c[:, b].tobytes()
            assert row not in seen, call
            seen.add(row)
            found = [step.tobytes() for step in inputs.x[:, b]]
            assert cell.spec.input_size < 16 or steps.isdisjoint(found), call
            steps.update(found)
        drawn.append(np.concatenate([inputs.x.ravel(), inputs.state.c.ravel()]).astype(np.float64))
    values = np.concatenate(drawn)
    if values.size > 1000:
        assert abs(values.mean()) < 0.1
        assert abs(values.std() - 1) < 0.1


def test_more_calls_a_sample_than_there_are_sets_get_inputs_of_their_own():
    """What is checked is what the calls got, also where one sample takes a set several times."""
    cell = Cell.of(input_size=17, hidden_size=17, sequence_length=16, batch_size=8)
    rows, given = np.array([0, 7]), []

    class Keeps(NumpyLSTM):
        def forward(self, x, state, lengths=None, training=False):
            given.append((x, state))
            return super().forward(x, state, lengths, training)

    session = Session(Keeps, Open(cell, 0, None, 2, 0), perf_counter)
    contestant = Contestant("keeps", None, "cpu", 60.0, 5, ring_size=2, calls_per_sample=9)
    session.check(CheckRequest(rows, 0, call_key(5, 0)))
    for _ in range(2):
        session.prepare(Prepare(contestant.calls_made, 9, contestant.next_keys()))
        session.go()
        contestant.calls_made += 9
    assert len(given) == 19
    for call, (x, state) in enumerate(given):
        alone = draw_rows(cell, 5, 2, call, rows)
        assert x[:, rows].tobytes() == alone.x.tobytes(), call
        assert state.c[:, rows].tobytes() == alone.state.c.tobytes(), call


def test_the_readme_counts_them():
    def counted(backends):
        honest = sum(backend.status == TIMED for backend in backends.values())
        return len(backends) - honest, honest

    inference, training = counted(CHEATS | CORES | HONEST), counted(TRAINING_CHEATS | TRAINING_HONEST)
    said = (
        f"a catalogue of {inference[0]} cheats for inference, {training[0]} for training, and {inference[1] + training[1]} that"
    )
    assert said in " ".join((Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8").split())
