"""Where a worker's arrays begin: not the same in every process, or code would be compared by what was imported before it."""

import platform

import pytest

from lstm_parity.harness.compare.duel import ROUNDS, layout_of
from lstm_parity.harness.sweep.server import SweepServer
from lstm_parity.harness.worker.client import WorkerClient
from lstm_parity.harness.worker.messages import Describe
from lstm_parity.harness.worker.server import LAYOUTS

TELLS = """\
import numpy as np
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM):
    @classmethod
    def unavailable(cls): return str(np.ones(2**16).__array_interface__["data"][0] % 4096)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="UNVERIFIED: written for glibc's allocator")
def test_a_layout_moves_every_large_array_by_its_number_of_16_bytes(tmp_path):
    (tmp_path / "tells.py").write_text(TELLS)

    def place(layout):
        client = WorkerClient(SweepServer, f"{tmp_path / 'tells.py'}:X", 1, layout=layout)
        try:
            return int(client.ask(Describe(), 60).unavailable)
        finally:
            client.close()

    place(0)  # compiles what has not been compiled yet, which takes memory of its own
    first = place(0)
    assert [(place(layout) - first) % 4096 for layout in (0, 1, 100)] == [0, 16, 1600]


def test_in_a_duel_each_side_has_each_place_in_a_cache_line_equally_often():
    for first in range(LAYOUTS):
        layouts = [layout_of(first, number) for number in range(ROUNDS)]
        assert len(set(layouts)) == ROUNDS
        assert all(0 <= layout < LAYOUTS for layout in layouts)
        assert [sum(layout % 4 == k for layout in layouts) for k in range(4)] == [ROUNDS // 4] * 4
