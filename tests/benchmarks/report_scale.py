"""Time and memory that the report of a large store takes: python tests/benchmarks/report_scale.py [ROWS] [SAMPLES].

Draws two stores, one with all rows in one run and one with a hundred runs, runs `python -m lstm_parity report` on each in a
process of its own, and prints its seconds, its peak resident memory and the sizes of its files. With Chromium and playwright
also the seconds until every chart is drawn, and from a choice to the last chart that changes. Linux, macOS.
"""

# ruff: noqa: E402, T201
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "reports"), str(ROOT)]

from synthetic_rows import synthetic_data

from lstm_parity.harness.records import COLUMNS, Run
from lstm_parity.harness.store import Store


def draw_store(path: Path, rows: int, samples: int, runs: int) -> None:
    """A store with `runs` runs and about `rows` rows in all, each with `samples` samples."""
    speeds = {f"backend-{i}": (1e-5 * (i + 1), 1e-6 * (10 - i)) for i in range(10)}
    per = max(1, round((rows / runs / 10 / 40) ** 0.5))  # 10 backends x 2 precisions x 2 modes x 10 hidden sizes x per x per
    first = 0
    with Store(path, create=True) as store:
        for number in range(runs):
            data = synthetic_data(
                number,
                speeds,
                baseline="backend-0",
                samples=samples,
                failing=0.05,
                run_id=f"run-{number}",
                precision=["float32", "float16"],
                mode=["inference", "training"],
                hidden_size=[16 * 2**i for i in range(10)],
                sequence_length=[1 + 7 * i for i in range(per)],
                batch_size=[1 + 3 * i for i in range(per)],
            )
            started = f"2025-03-01T10:{number // 60:02}:{number % 60:02}+00:00"
            info = data.runs.iloc[0]
            store.add_run(
                Run(
                    info.run_id,
                    '{"baseline": "backend-0"}',
                    "hash",
                    info.machine_id,
                    info.fingerprint,
                    info.command,
                    1,
                    started,
                )
            )
            numbered = data.rows.assign(row_id=data.rows["row_id"] + first, started_at=started)[["row_id", *COLUMNS]]
            plain = numbered.astype(object).where(numbered.notna(), None)
            taken = data.samples.assign(row_id=data.samples["row_id"] + first)
            with store.transaction():
                store._db.executemany(
                    f"INSERT INTO rows (cell, row_id, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 2))})",
                    ((k // len(speeds), *row) for k, row in enumerate(plain.itertuples(index=False))),
                )
                store._db.executemany(
                    "INSERT INTO samples (row_id, block, position, calls, wall_s, used) VALUES (?, ?, ?, ?, ?, 1)",
                    taken[["row_id", "block", "position", "calls", "wall_s"]].itertuples(index=False),
                )
            first += len(plain)
    print(f"{runs} runs, {first:,} rows, {first * samples:,} samples, store of {path.stat().st_size / 2**20:.0f} MiB")


def in_a_browser(page: Path) -> str:
    """Seconds that the page takes to draw, and to redraw after a choice."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return "in a browser: UNVERIFIED: no Chromium, or no playwright, on this machine"
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        begun = time.perf_counter()
        opened.goto(page.as_uri())
        opened.wait_for_function("document.documentElement.dataset.drawn !== undefined", timeout=60_000)
        drawn = time.perf_counter() - begun
        menus, answered, took = opened.locator("#controls select"), list[float](), list[float]()
        for n in range(menus.count()):
            for option in range(min(6, menus.nth(n).locator("option").count())):
                begun = time.perf_counter()
                menus.nth(n).select_option(index=option)  # returns when the text has changed
                answered.append(time.perf_counter() - begun)
                opened.wait_for_function("document.documentElement.dataset.busy === '0'")
                took.append(time.perf_counter() - begun)
        browser.close()
    slowest = f"answered after {1e3 * max(answered):.0f} ms, the last chart after {1e3 * max(took):.0f} ms"
    return f"in a browser: drawn after {drawn:.1f} s; the slowest of {len(took)} choices: {slowest}"


def main(rows: int = 100_000, samples: int = 20) -> None:
    """Run the report of each store in a child process, so that its memory can be measured."""
    for runs in (1, 100):
        with tempfile.TemporaryDirectory() as folder:
            store, out = Path(folder) / "store.sqlite", Path(folder) / "report"
            draw_store(store, rows, samples, runs)
            for baseline in ([], ["--baseline", "backend-1"]):
                command = [sys.executable, "-m", "lstm_parity", "report", "--store", str(store), "--out", str(out), *baseline]
                started = time.perf_counter()
                child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
                _, status, used = os.wait4(child.pid, 0)
                seconds = time.perf_counter() - started
                unit = 1 if sys.platform == "darwin" else 1024
                memory = used.ru_maxrss * unit / 2**20
                code = os.waitstatus_to_exitcode(status)
                result = f"exit {code}, {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of one core)"
                print(f"report {' '.join(baseline)}: {result}, peak {memory:.0f} MiB", flush=True)
            for file in sorted(out.glob("report.*")):
                print(f"  {file.name}: {file.stat().st_size / 1e6:.2f} MB")
            print(f"  {in_a_browser(out / 'report.html')}")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
