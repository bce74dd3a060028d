"""The peaks of this machine, measured: large matrix products in each precision, a large copy, and on a GPU an exchange between
blocks.

A time below operations / peak is not credible. On a CPU they are measured with NumPy and, where it is installed, torch; on a
GPU with torch, the exchange with CuPy. A time without a measured peak is not judged by one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from multiprocessing.connection import Connection
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from ..machine.host import cpu_name
from ..records import MIN_IS_BEST
from ..worker.spawn import end, spawn
from .exchange import cuda_latency

Peaks = dict[tuple[str, str], float]
"""(device, kind) -> operations or bytes a second where kind is "gemm:<precision>" or "copy"; seconds for "grid_exchange"."""

GEMM_SIZE = {"cpu": 1536, "cuda": 8192}
COPY_BYTES = {"cpu": 2**28, "cuda": 2**31}
REPEATS = 6
LIMIT_S = 180.0


def keep_best(peaks: Peaks, found: Peaks) -> None:
    """Update `peaks` where `found` is better."""
    for key, value in found.items():
        better = min if key[1] in MIN_IS_BEST else max
        peaks[key] = better(value, peaks.get(key, value))


def measure_peaks(threads: int, *, cuda: bool) -> Peaks:
    """Measure in a separate process with that many threads; returns what it measured before it ended or failed."""
    process, ours = spawn(_measure, threads, threads, cuda)
    peaks: Peaks = {}
    deadline = monotonic() + LIMIT_S
    try:
        while ours.poll(max(0.0, deadline - monotonic())):
            peaks.update(ours.recv())
    except (EOFError, OSError):  # it has ended
        pass
    finally:
        ours.close()
        end(process)
    return peaks


def _measure(pipe: Connection, threads: int, cuda: bool) -> None:
    pipe.send(_cpu_peaks(threads))
    if cuda:
        for peaks in (_cuda_peaks, cuda_latency):
            with suppress(Exception):  # a device that refuses one has no such peak
                pipe.send(peaks())


def _best(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few calls."""
    call()
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times)


def _cpu_peaks(threads: int) -> Peaks:
    n = GEMM_SIZE["cpu"]
    device = cpu_name()
    rates: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for precision in ("float32", "float64"):
        a = rng.standard_normal((n, n)).astype(precision)
        out = np.empty_like(a)
        rates[precision] = 2 * n**3 / _best(partial(np.matmul, a, a, out=out))
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(threads)
        for precision in ("float32", "float64", "bfloat16"):
            t = torch.randn(n, n).to(getattr(torch, precision))
            rates[precision] = max(rates.get(precision, 0.0), 2 * n**3 / _best(partial(torch.mm, t, t)))
        # A 16-bit backend may compute in float32. float16 is left out: without instructions for it one product takes seconds.
        rates["bfloat16"] = max(rates["bfloat16"], rates["float32"])
    rates["tf32"] = rates["float32"]
    peaks = {(device, f"gemm:{precision}"): rate for precision, rate in rates.items()}
    source = np.zeros(COPY_BYTES["cpu"], np.uint8)
    target = np.ones_like(source)
    with ThreadPoolExecutor(threads) as pool:  # NumPy releases the GIL while it copies
        parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
        seconds = _best(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts)))
    peaks[device, "copy"] = 2 * source.nbytes / seconds
    return peaks


def _cuda_peaks() -> Peaks:
    if find_spec("torch") is None:
        return {}
    import torch

    if not torch.cuda.is_available():
        return {}
    n = GEMM_SIZE["cuda"]
    device = torch.cuda.get_device_name()
    peaks: Peaks = {}

    def timed(call: Callable[[], Any]) -> float:
        def run() -> None:
            call()
            torch.cuda.synchronize()

        return _best(run)

    for precision in ("float64", "float32", "tf32", "float16", "bfloat16"):
        torch.backends.cuda.matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        t = torch.randn(n, n, device="cuda").to(getattr(torch, "float32" if precision == "tf32" else precision))
        peaks[device, f"gemm:{precision}"] = 2 * n**3 / timed(partial(torch.mm, t, t))
        del t
    source = torch.zeros(COPY_BYTES["cuda"], dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    peaks[device, "copy"] = 2 * source.numel() / timed(lambda: target.copy_(source))
    return peaks
