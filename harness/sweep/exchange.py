"""How long one exchange between blocks of a GPU takes: the least that a step costs where U is spread over the device.

Measured with the flags that this project's persistent kernels use (backends/cupy_raw/kernels/exchange.cuh), all blocks
resident: between one block on each multiprocessor, and between two, the fewest that a step may need; the least of both counts.
Between all blocks of an H200 it is 1.64 us. A processor has nothing of the kind: how the threads of a BLAS meet is inside each
product, and so in the rate that is measured of it.
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
"""What the peak is called; seconds, of which the least is the best."""
SOURCE = Path(__file__).with_name("exchange_latency.cu")
FEWEST = 2
"""Blocks that an exchange is between at least."""
FEW, MANY = 1_000, 11_000
"""Exchanges of a short and of a long launch: what a launch costs besides is in both, and falls out of their difference."""
CHECKED = 100
REPEATS = 6


class ExchangeError(RuntimeError):
    """Blocks did not see what others had published, or took no time for it: what was timed is no exchange."""


def assembled(folder: Path) -> Path:
    """A copy in `folder` of the project's kernels with this one among them: a GPU's compiler is given them from one place."""
    copy = folder / "kernels"
    shutil.copytree(KERNELS, copy)
    shutil.copy(SOURCE, copy)
    return copy


def exchange_launch(device: Device, blocks: int) -> Launch:
    """One block on each of so many multiprocessors."""
    threads = device.threads
    return Launch(SOURCE.stem, "exchange_latency", (blocks, 1, 1), threads, sizes={"threads": threads}, cooperative=True)


def exchange(machine: Machine, exchanges: int, blocks: int, *, checked: bool = False) -> Any:
    """So many exchanges in one launch; how often each block missed what another had published, where that is `checked`."""
    launch = exchange_launch(machine.device, blocks)
    flags, made, missed = (machine.zero_flags(count * launch.grid[0]) for count in (1, 2, 1))
    machine.launch(launch, (flags, made, missed, exchanges, int(checked)))
    return missed


def latency(machine: Machine, timed: Callable[[Callable[[], Any]], float], read: Callable[[Any], Array]) -> float:
    """Seconds of one exchange: the least of a few launches, between all blocks and between the fewest.

    timed: seconds that the device needs for what a call puts there. read: a device array as a host array. Raises ExchangeError
    where blocks do not see each other's work or more exchanges take no longer, LaunchError where not all blocks are resident.
    """
    most = machine.device.multiprocessors
    return min(_latency(machine, blocks, timed, read) for blocks in (most, min(FEWEST, most)))


def _latency(machine: Machine, blocks: int, timed: Callable[[Callable[[], Any]], float], read: Callable[[Any], Array]) -> float:
    name = machine.device.name
    missed = int(read(exchange(machine, CHECKED, blocks, checked=True)).sum())
    if missed:
        raise ExchangeError(f"{name}: of {CHECKED} exchanges between {blocks} blocks, {missed} values came too late")
    few, many = (
        min(timed(lambda n=n: exchange(machine, n, blocks)) for _ in range(REPEATS))  # type: ignore[misc]
        for n in (FEW, MANY)
    )
    if not many > few:  # it would be kept as the best for ever
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
