"""The peaks of this machine, measured: large matrix products in each precision, a large copy, and on a GPU an exchange between
blocks.

A time below operations / peak is not credible. On a CPU they are measured with NumPy and, where it is installed, torch; on a
GPU with torch, the exchange with CuPy. A time without a measured peak is not judged by one.

The latency of an exchange is the minimum cost of a step where U is distributed over a GPU. It is measured with the flags of
this project's persistent kernels (backends/cupy_raw/kernels/exchange.cuh), all blocks resident: between one block on each
multiprocessor, and between two, the fewest that a step may need; the smaller one counts. Between all blocks of an H200 it is
1.64 us. On a CPU the synchronisation of threads is part of the measured rate of a matrix product.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from lstm_parity.backends.cupy_raw.machine import Machine
from lstm_parity.backends.cupy_raw.plan.device import Device
from lstm_parity.backends.cupy_raw.plan.launch import Launch
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.backends.problem import Array

from ..machine.host import cpu_name
from ..records import MIN_IS_BEST
from ..worker.spawn import end, spawn

Peaks = dict[tuple[str, str], float]
"""(device, kind) -> operations or bytes a second where kind is "gemm:<precision>" or "copy"; seconds for "grid_exchange"."""

GEMM_SIZE = {"cpu": 1536, "cuda": 8192}
COPY_BYTES = {"cpu": 2**28, "cuda": 2**31}
REPEATS = 6
LIMIT_S = 180.0

KIND = "grid_exchange"
"""The kind of this peak, in seconds; the smallest is the best."""
SOURCE = Path(__file__).with_name("exchange_latency.cu")
MIN_BLOCKS = 2
FEW, MANY = 1_000, 11_000
"""Exchanges of a short and of a long launch: the difference does not contain the cost of the launch itself."""
CHECKED = 100


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


class ExchangeError(RuntimeError):
    """What was timed is no exchange: blocks did not see what others had published, or took no time for it."""


def assembled(folder: Path) -> Path:
    """A copy of the project's kernels in `folder` with this one added: the compiler takes them from one folder."""
    copy = folder / "kernels"
    shutil.copytree(KERNELS, copy)
    shutil.copy(SOURCE, copy)
    return copy


def exchange_launch(device: Device, blocks: int) -> Launch:
    """The launch of that many blocks, one a multiprocessor."""
    threads = device.threads
    return Launch(SOURCE.stem, "exchange_latency", (blocks, 1, 1), threads, sizes={"threads": threads}, cooperative=True)


def exchange(machine: Machine, exchanges: int, blocks: int, *, checked: bool = False) -> Any:
    """Run that many exchanges in one launch; returns how often each block missed what another had published, if `checked`."""
    launch = exchange_launch(machine.device, blocks)
    flags, made, missed = (machine.zero_flags(count * launch.grid[0]) for count in (1, 2, 1))
    machine.launch(launch, (flags, made, missed, exchanges, int(checked)))
    return missed


def latency(machine: Machine, timed: Callable[[Callable[[], Any]], float], read: Callable[[Any], Array]) -> float:
    """Seconds of one exchange: the minimum of a few launches, with all blocks and with MIN_BLOCKS.

    timed: seconds on the device of what a call launches. read: a device array as a host array. Raises ExchangeError, and
    LaunchError where not all blocks can be resident.
    """
    all_blocks = machine.device.multiprocessors
    return min(_latency(machine, blocks, timed, read) for blocks in (all_blocks, min(MIN_BLOCKS, all_blocks)))


def _latency(machine: Machine, blocks: int, timed: Callable[[Callable[[], Any]], float], read: Callable[[Any], Array]) -> float:
    name = machine.device.name
    missed = int(read(exchange(machine, CHECKED, blocks, checked=True)).sum())
    if missed:
        raise ExchangeError(f"{name}: of {CHECKED} exchanges between {blocks} blocks, {missed} values came too late")
    few, many = (
        min(timed(lambda n=n: exchange(machine, n, blocks)) for _ in range(REPEATS))  # type: ignore[misc]
        for n in (FEW, MANY)
    )
    if not many > few:  # it would stay the best for ever
        raise ExchangeError(f"{name}: {MANY} exchanges between {blocks} blocks take {many:.3g} s, {FEW} take {few:.3g} s")
    return (many - few) / (MANY - FEW)


def cuda_latency() -> dict[tuple[str, str], float]:
    """The peak of CuPy's current device, by its name; empty without CuPy, or where blocks cannot all be resident at once."""
    try:
        import cupy
    except ImportError:
        return {}
    from lstm_parity.backends.cupy_raw.gpu.machine import GPUMachine

    def timed(call: Callable[[], Any]) -> float:
        before, after = cupy.cuda.Event(), cupy.cuda.Event()
        before.record()
        call()
        after.record()
        after.synchronize()
        return float(cupy.cuda.get_elapsed_time(before, after)) / 1e3

    with TemporaryDirectory() as folder:
        machine = GPUMachine("float32", assembled(Path(folder)))
        if not machine.device.cooperative:
            return {}
        return {(machine.device.name, KIND): latency(machine, timed, machine.download)}
