"""The latency of one exchange between blocks of a GPU: the minimum cost of a step where U is distributed over the device.

Measured with the flags of this project's persistent kernels (backends/cupy_raw/kernels/exchange.cuh), all blocks resident:
between one block on each multiprocessor, and between two, the fewest that a step may need; the smaller one counts. Between all
blocks of an H200 it is 1.64 us. On a CPU the synchronisation of threads is part of the measured rate of a matrix product.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lstm_parity.backends.cupy_raw.machine import Machine
from lstm_parity.backends.cupy_raw.plan.device import Device
from lstm_parity.backends.cupy_raw.plan.launch import Launch
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.backends.problem import Array

KIND = "grid_exchange"
"""The kind of this peak, in seconds; the smallest is the best."""
SOURCE = Path(__file__).with_name("exchange_latency.cu")
MIN_BLOCKS = 2
FEW, MANY = 1_000, 11_000
"""Exchanges of a short and of a long launch: the difference does not contain the cost of the launch itself."""
CHECKED = 100
REPEATS = 6


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
