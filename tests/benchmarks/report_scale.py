"""How long the report of a large store takes, and how much memory: python tests/benchmarks/report_scale.py [ROWS] [SAMPLES].

Draws a store, then runs `python -m harness report` on it in a process of its own and prints its seconds, its peak resident
memory and the sizes of what it wrote. Linux, macOS.
"""

# ruff: noqa: E402, T201
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "reports"), str(ROOT)]

from synthetic_rows import synthetic_data

from harness.store import COLUMNS, Run, Store


def draw_store(path: Path, rows: int, samples: int) -> None:
    """A store with one run of about that many rows, each with that many samples."""
    speeds = {f"backend-{i}": (1e-5 * (i + 1), 1e-6 * (10 - i)) for i in range(10)}
    per = max(1, round((rows / 10 / 40) ** 0.5))  # 10 backends x 2 precisions x 2 modes x 10 hidden sizes x per x per
    data = synthetic_data(
        1,
        speeds,
        baseline="backend-0",
        samples=samples,
        failing=0.05,
        precision=["float32", "float16"],
        mode=["inference", "training"],
        hidden_size=[16 * 2**i for i in range(10)],
        sequence_length=[1 + 7 * i for i in range(per)],
        batch_size=[1 + 3 * i for i in range(per)],
    )
    info = data.runs.iloc[0]
    plain = data.rows[["row_id", *COLUMNS]].astype(object).where(data.rows[["row_id", *COLUMNS]].notna(), None)
    with Store(path, create=True) as store:
        store.add_run(
            Run(
                info.run_id,
                info.definition,
                "hash",
                info.machine_id,
                info.fingerprint,
                info.command,
                int(info.seed),
                info.started_at,
            )
        )
        with store.transaction():
            store._db.executemany(
                f"INSERT INTO rows (cell, row_id, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 2))})",
                ((k // len(speeds), *row) for k, row in enumerate(plain.itertuples(index=False))),
            )
            store._db.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?, NULL, NULL, 1)",
                data.samples[["row_id", "block", "position", "calls", "wall_s"]].itertuples(index=False),
            )
    print(f"{len(data.rows):,} rows, {len(data.samples):,} samples, store of {path.stat().st_size / 2**20:.0f} MiB")


def main(rows: int = 100_000, samples: int = 20) -> None:
    """Draw a store in a child process, so that its memory does not count, and report on it in another."""
    with tempfile.TemporaryDirectory() as folder:
        store, out = Path(folder) / "store.sqlite", Path(folder) / "report"
        draw_store(store, rows, samples)
        for baseline in ([], ["--baseline", "backend-1"]):
            command = [sys.executable, "-m", "harness", "report", "--store", str(store), "--out", str(out), *baseline]
            started = time.perf_counter()
            child = subprocess.Popen(command, cwd=ROOT)
            _, status, used = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - started
            unit = 1 if sys.platform == "darwin" else 1024
            print(f"{' '.join(command[3:])}: exit {status}, {seconds:.1f} s, peak {used.ru_maxrss * unit / 2**20:.0f} MiB")
        for file in sorted(out.iterdir()):
            print(f"  {file.name}: {file.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
