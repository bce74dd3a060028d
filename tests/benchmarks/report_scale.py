"""How long a report of a huge run takes, and how much memory: python tests/benchmarks/report_scale.py [ROWS].

Prints rows, samples, seconds, the peak resident memory before (data drawn) and after, and the sizes of the pages. Linux, macOS.
"""

# ruff: noqa: E402, T201
from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "reports"), str(Path(__file__).parents[2])]

from synthetic_rows import synthetic_data

from reports.build import write_report


def _peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main(rows: int = 100_000) -> None:
    """Draw a run of about that many rows, 20 samples each, and report on it."""
    speeds = {f"backend-{i}": (1e-5 * (i + 1), 1e-6 * (10 - i)) for i in range(10)}
    per = max(1, round((rows / 10 / 40) ** 0.5))  # 10 backends x 2 precisions x 2 modes x 10 hidden sizes x per x per
    data = synthetic_data(
        1,
        speeds,
        baseline="backend-0",
        failing=0.05,
        precision=["float32", "float16"],
        mode=["inference", "training"],
        hidden_size=[16 * 2**i for i in range(10)],
        sequence_length=[1 + 7 * i for i in range(per)],
        batch_size=[1 + 3 * i for i in range(per)],
    )
    drawn = _peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        verdict = write_report(data, Path(folder) / "report", baseline="backend-1")
        seconds = time.perf_counter() - started
        print(f"{len(data.rows):,} rows, {len(data.samples):,} samples: {seconds:.1f} s")
        print(f"peak resident memory: {drawn:.0f} MiB with the data drawn, {_peak_mib():.0f} MiB at the end")
        for file in verdict.files:
            print(f"  {file.name}: {file.stat().st_size / 2**20:.2f} MiB")
    print(*verdict.sentences[:3], sep="\n")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
