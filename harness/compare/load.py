"""A competing load: a process that keeps one core busy in bursts of random length, with pauses of random length."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import perf_counter

from ..worker.spawn import end, spawn

BURST_S = (0.05, 1.0)
"""Shortest and longest burst and pause, in seconds."""


@contextmanager
def competing_load() -> Iterator[None]:
    """Within, another process computes during about half of the time."""
    process, ours = spawn(_compute, 1)
    try:
        yield
    finally:
        ours.close()
        end(process)


def _compute(pipe: Connection) -> None:
    import numpy as np

    a = np.random.default_rng(0).standard_normal((256, 256))
    while True:
        end = perf_counter() + random.uniform(*BURST_S)
        while perf_counter() < end:
            np.tanh(a @ a)
        if pipe.poll(random.uniform(*BURST_S)):
            return
