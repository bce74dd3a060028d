"""How long one exchange between all blocks of a GPU takes: the least that a step costs where U is spread over the device.

Measured with the flags that this project's persistent kernels use (backends/cupy_raw/kernels/exchange.cuh), one block on each
multiprocessor, all resident. A processor has nothing of the kind: how the threads of a BLAS meet is inside each product, and so
in the rate that is measured of it. On an H200 it is 1.64 us.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backends.cupy_raw.device import Device
from backends.cupy_raw.launch import Launch
from backends.cupy_raw.machine import Machine
from backends.cupy_raw.source import KERNELS
from backends.problem import Array

KIND = "grid_exchange"
"""What the peak is called; seconds, of which the least is the best."""
SOURCE = Path(__file__).with_name("exchange_latency.cu")
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


def exchange_launch(device: Device) -> Launch:
    """One block on each multiprocessor."""
    grid, threads = (device.multiprocessors, 1, 1), device.threads
    return Launch(SOURCE.stem, "exchange_latency", grid, threads, sizes={"threads": threads}, cooperative=True)


def exchange(machine: Machine, exchanges: int, *, checked: bool = False) -> Any:
    """So many exchanges in one launch; how often each block missed what another had published, where that is `checked`."""
    launch = exchange_launch(machine.device)
    flags, made, missed = (machine.zero_flags(count * launch.grid[0]) for count in (1, 2, 1))
    machine.launch(launch, (flags, made, missed, exchanges, int(checked)))
    return missed


def latency(machine: Machine, timed: Callable[[Callable[[], Any]], float], read: Callable[[Any], Array]) -> float:
    """Seconds of one exchange: the least of a few launches.

    timed: seconds that the device needs for what a call puts there. read: a device array as a host array. Raises ExchangeError
    where blocks do not see each other's work or more exchanges take no longer, LaunchError where not all blocks are resident.
    """
    missed = int(read(exchange(machine, CHECKED, checked=True)).sum())
    if missed:
        raise ExchangeError(f"{machine.device.name}: of {CHECKED} exchanges between all blocks, {missed} values came too late")
    few, many = (min(timed(lambda n=n: exchange(machine, n)) for _ in range(REPEATS)) for n in (FEW, MANY))  # type: ignore[misc]
    if not many > few:  # it would be kept as the best for ever
        raise ExchangeError(f"{machine.device.name}: {MANY} exchanges take {many:.3g} s, {FEW} take {few:.3g} s")
    return (many - few) / (MANY - FEW)


def cuda_latency() -> dict[tuple[str, str], float]:
    """The peak of CuPy's current device, by its name; empty without CuPy, or where blocks cannot all be resident at once."""
    try:
        import cupy
    except ImportError:
        return {}
    from backends.cupy_raw.gpu_machine import GPUMachine

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
