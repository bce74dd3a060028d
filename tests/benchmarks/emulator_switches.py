"""Speed of the CPU emulator, and memory of a large launch: python tests/benchmarks/emulator_switches.py."""

# ruff: noqa: E402, T201
from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

import numpy as np

from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule

KERNELS = ROOT / "tests" / "backends" / "cupy_raw" / "emulator" / "kernels"


def seconds(work: Callable[[], None], tries: int = 3) -> float:
    """The minimum over the tries."""
    work()
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    emulator = Emulator(KERNELS)
    blocks, threads = 132, 256
    ints = np.zeros(threads * blocks, np.int32)
    floats = np.zeros(threads * blocks, np.float32)
    parts = np.zeros((2, blocks, threads), np.float32)
    matrix = np.ones((512, threads), np.float32)

    def launch(kernel: str, grid: int, *arguments: np.ndarray | int, schedule: Schedule, detect: bool, shared: int = 0) -> None:
        emulator.launch(
            kernel,
            "float32",
            file="speed",
            grid=(grid, 1, 1),
            threads=threads,
            shared_bytes=shared,
            sizes={},
            arguments=arguments,
            cooperative=True,
            schedule=schedule,
            detect=detect,
        )

    switching = {
        "1 x 256, __syncthreads": lambda **how: launch("barriers", 1, 1000, **how),
        "1 x 256, shuffles": lambda **how: launch("shuffles", 1, ints, 1000, **how),
        "132 x 256, __syncthreads": lambda **how: launch("barriers", blocks, 20, **how),
        "132 x 256, grid_barrier": lambda **how: launch("grid_barriers", blocks, np.zeros(1, np.uint32), 20, **how),
    }
    print(f"{'million switches a second':28}" + "".join(f"{kind:>14}" for kind in KINDS))
    for name, work in switching.items():
        for detect in (False, True):
            rates = []
            for kind in KINDS:
                how = {"schedule": Schedule(kind, 1), "detect": detect}
                rates.append(seconds(lambda work=work, how=how: work(**how)))  # type: ignore[misc]
                rates[-1] = emulator.switches / rates[-1] / 1e6
            print(f"{name + (', on' if detect else ', off'):28}" + "".join(f"{rate:14.2f}" for rate in rates))

    how = {"schedule": Schedule()}
    print("\nnanoseconds a checked access, switches included", f"{'off':>6}{'on':>8}")
    accesses = {
        "own elements of shared memory": (
            lambda d: launch("own_cells", 1, floats, 4000, shared=1024, detect=d, **how),
            2 * 4000 * threads,
        ),
        "a matrix and a shared vector": (
            lambda d: launch("multiply", 1, matrix, floats, 512, 8, shared=2048, detect=d, **how),
            2 * 8 * 512 * threads,
        ),
        "132 x 256, exchange by flags": (
            lambda d: launch("exchanges", blocks, parts, floats, np.zeros(blocks, np.uint32), 2, detect=d, **how),
            2 * (blocks + 1) * blocks * threads,
        ),
    }
    for name, (work, count) in accesses.items():
        off, on = (seconds(lambda work=work, d=d: work(d)) / count * 1e9 for d in (False, True))  # type: ignore[misc]
        print(f"  {name:44}{off:8.2f}{on:8.2f}")

    small = [
        seconds(lambda d=d: [launch("own_cells", 1, floats, 1, shared=1024, detect=d, **how) for _ in range(500)]) / 500
        for d in (False, True)
    ]  # type: ignore[misc, func-returns-value]
    print(f"\nmicroseconds a launch of 1 x 256 without switches: {small[0] * 1e6:.1f} off, {small[1] * 1e6:.1f} on")
    unit = 1 if sys.platform == "darwin" else 1024
    print(f"peak resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
