"""Backends that cheat on a GPU, each with one line that says how: none of them gets a time. Honest ones that look like them do.

What a cheat needs no GPU for is in tests/harness/sweep/test_dishonest.py.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lstm_parity.harness.records import TIMED
from lstm_parity.harness.store import Store

pytestmark = [pytest.mark.gpu, pytest.mark.quiet]
ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 400.0

HEAD = """\
import copy, threading, time
import torch
from lstm_parity import LSTMState
from lstm_parity.backends.torch_lstm import TorchCuDNNLSTM
"""
NOT_ALL_OF_IT = r".* s on the stream, but .* s until the device was done|.* GFLOP/s, but the best measured here is .*"
NOT_THERE = "y, a state or a gradient was not there yet, or changed, after the call had returned"


@dataclass(frozen=True)
class Backend:
    """Source of a module with the class X, what it does, and what its row is to say."""

    does: str
    source: str
    status: tuple[str, ...]
    reason: str | None = None


def forward(body, setup="pass", more=""):
    """cuDNN's LSTM whose forward is `body`; honest() is the right answer, n counts the calls from 0."""
    return f"""{HEAD}
class X(TorchCuDNNLSTM):
    def __init__(self, spec, weights):
        super().__init__(spec, weights)
        self.n = -1
        {setup}
    def forward(self, x, before, lengths=None, training=False):
        self.n += 1
        n = self.n
        def honest(x=x, before=before): return super(X, self).forward(x, before)
        {body}
        return y, state
{more}"""


ASIDE = "self.side.wait_stream(torch.cuda.current_stream())\n        with torch.cuda.stream(self.side): y, state = honest()"
LATER = """
    pending = {}
    def to_host(self, array):
        pending = self.pending.pop(id(array), None)
        if pending is not None: pending()
        return super().to_host(array)
"""
EMPTIES = (
    "y = x.new_empty((*x.shape[:2], self._spec.hidden_size)); "
    "state = LSTMState(torch.empty_like(before.h), torch.empty_like(before.c))"
)
FILL = "def fill():\n            a, b = honest(); y.copy_(a); state.h.copy_(b.h); state.c.copy_(b.c); torch.cuda.synchronize()"

CHEATS = {
    "aside": Backend(
        "works on another stream, for which nobody waits",
        forward(ASIDE, "self.side = torch.cuda.Stream()", "    def synchronize(self): self.side.synchronize()"),
        ("SUSPECT",),
        NOT_ALL_OF_IT,
    ),
    "clock": Backend(
        "replaces the clock of the events",
        forward("y, state = honest()", "torch.cuda.Event.elapsed_time = lambda before, after: 0.01"),
        ("SUSPECT",),
        NOT_ALL_OF_IT,
    ),
    "on_read": Backend(
        "does nothing before a result is read",
        forward(f"{EMPTIES}\n        {FILL}\n        self.pending[id(y)] = fill", more=LATER),
        ("WRONG",),
        f"in timed call .*|{NOT_THERE}",
    ),
    "thread": Backend(
        "works in a thread that goes on after the call",
        forward(
            f"{EMPTIES}\n        {FILL}\n        t = threading.Thread(target=lambda: (time.sleep(0.01), fill())); t.start()\n"
            "        self.pending[id(y)] = t.join",
            more=LATER,
        ),
        ("WRONG",),
        f"in timed call .*|{NOT_THERE}",
    ),
    "tf32": Backend(
        "computes float32 in TF32",
        forward("y, state = honest()", "self._switches = [(o, n, 'tf32' if v == 'ieee' else v) for o, n, v in self._switches]"),
        ("WRONG",),
    ),
    "half": Backend(
        "computes float32 in float16",
        forward(
            "with torch.no_grad(): y, s = self.half(x.half(), (before.h.half(), before.c.half()))\n"
            "        y, state = y.float(), LSTMState(s[0].float(), s[1].float())",
            "self.half = copy.deepcopy(self._module).half()",
        ),
        ("WRONG",),
    ),
    "pointer": Backend(
        "keeps its answers by the place of x",
        forward(
            "y, state = [a.clone() if isinstance(a, torch.Tensor) else LSTMState(a.h.clone(), a.c.clone())"
            " for a in self.kept.setdefault(x.data_ptr(), honest())]",
            "self.kept = {}",
        ),
        ("WRONG",),
    ),
    "graph": Backend(
        "replays a recorded call, on the inputs that it was recorded with",
        forward(
            "if n == 0: honest(); torch.cuda.synchronize()\n"
            "        if n == 1:\n"
            "            self.graph, self.x = torch.cuda.CUDAGraph(), x.clone()\n"
            "            with torch.cuda.graph(self.graph): self.out = honest(self.x)\n"
            "        if n == 0: y, state = honest()\n"
            "        else: self.graph.replay(); y, s = self.out; y, state = y.clone(), LSTMState(s.h.clone(), s.c.clone())"
        ),
        ("WRONG",),
    ),
    "last_steps": Backend(
        "leaves out the last steps of timed calls",
        forward(
            "y, state = honest()\n        if n: y, state = honest(x[:-20]); y = torch.cat([y, y[-20:]])",
        ),
        ("WRONG",),
    ),
    "lazy": Backend(
        "returns an array of a kind of its own",
        forward("y, state = honest(); y = y.as_subclass(Lazy)", more="class Lazy(torch.Tensor): pass"),
        ("WRONG",),
    ),
    "host": Backend(
        "holds its arrays in the host's memory",
        forward("y, state = honest()", more="    def to_device(self, array): return torch.from_numpy(array.copy())"),
        ("WRONG", "UNSUPPORTED", "CRASHED"),
    ),
}
HONEST = {
    "joined": Backend(
        "works on a stream of its own, for which the current one waits",
        forward(ASIDE + "\n        torch.cuda.current_stream().wait_stream(self.side)", "self.side = torch.cuda.Stream()"),
        TIMED,
    ),
    "own_graph": Backend(
        "records its first call and replays it on each call's inputs",
        forward(
            "if n == 0: honest(); torch.cuda.synchronize()\n"
            "        if self.graph is None:\n"
            "            self.graph, self.x = torch.cuda.CUDAGraph(), x.clone()\n"
            "            self.h, self.c = before.h.clone(), before.c.clone()\n"
            "            with torch.cuda.graph(self.graph): self.out = honest(self.x, LSTMState(self.h, self.c))\n"
            "        self.x.copy_(x); self.h.copy_(before.h); self.c.copy_(before.c)\n"
            "        self.graph.replay(); y, s = self.out; y, state = y.clone(), LSTMState(s.h.clone(), s.c.clone())",
            "self.graph = None",
        ),
        TIMED,
    ),
}
ALL = CHEATS | HONEST
# large enough that the device works for longer than its launches take the host
SWEEP = """\
title = "cheats"
budget = 1.0
backends = ["torch-cudnn"]
[[grid]]
sequence_length = 50
batch_size = 256
input_size = 64
hidden_size = 1024
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cheats")
    (folder / "cheats.toml").write_text(SWEEP)
    named = ["--backend", "torch-cudnn", "--backend", "cupy-raw"]
    for name, backend in ALL.items():
        (folder / f"{name}.py").write_text(backend.source)
        named += ["--backend", f"{name}.py:X"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    words = [sys.executable, "-m", "lstm_parity", "sweep", "cheats.toml", *named, "--store", "s.sqlite"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1, done.stderr
    with Store(folder / "s.sqlite") as store:
        found = store.frames().rows
    return {row["backend"].removesuffix(".py:X"): row for row in found.to_dict("records")}


@pytest.mark.parametrize("name", ALL)
def test_a_cheat_is_named_and_an_honest_one_is_timed(rows, name):
    row, backend = rows[name], ALL[name]
    said = f"{backend.does}: {row['status']}, {row['reason']}, {row['median_s']} s"
    assert row["status"] in backend.status, said
    assert backend.reason is None or re.fullmatch(backend.reason, row["reason"]), said


@pytest.mark.parametrize("name", ["torch-cudnn", "cupy-raw"])
def test_what_is_honest_and_right_has_a_time(rows, name):
    assert rows[name]["status"] in TIMED, rows[name]["reason"]
