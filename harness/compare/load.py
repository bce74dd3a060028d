"""A competing load: a process that keeps one core busy, in bursts and pauses of random length, as a neighbour does."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import perf_counter

from ..worker.inherit import die_with_parent
from ..worker.spawn import spawn

BURST_S = (0.05, 1.0)
"""Shortest and longest burst, and pause."""


@contextmanager
def competing_load() -> Iterator[None]:
    """Within, another process computes about half of the time."""
    process, ours = spawn(_compute, 1)
    try:
        yield
    finally:
        process.kill()
        process.join(10)
        ours.close()


def _compute(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    import numpy as np

    a = np.random.default_rng(0).standard_normal((256, 256))
    while True:
        end = perf_counter() + random.uniform(*BURST_S)
        while perf_counter() < end:
            np.tanh(a @ a)
        if pipe.poll(random.uniform(*BURST_S)):
            return
