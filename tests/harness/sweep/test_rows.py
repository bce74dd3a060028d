"""A finished run: its figures can be computed again from its samples, and its accounts add up to its wall time."""

import json
import time
from math import comb

import numpy as np
import pytest

from lstm_parity.harness.store import Store

SLOW = """\
import time
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM):
    def forward(self, *arguments):
        time.sleep(0.003)
        return super().forward(*arguments)
    def remark(self):
        return "slow,\\non purpose\\x07"
"""


@pytest.fixture(scope="module")
def run(shared_bench):
    slow = shared_bench.file("slow.py", SLOW) + ":X"
    start = time.perf_counter()
    done = shared_bench.sweep(shared_bench.tiny(["numpy", slow], budget=1.0))
    wall = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    return shared_bench, wall


def test_a_backend_says_how_it_computed_and_its_rows_say_it_too(run):
    bench, _ = run
    for row in bench.rows():
        if row["status"] == "PASSED":
            assert row["reason"] == (None if row["backend"] == "numpy" else "slow, on purpose")


def median_and_interval(values):
    """The median and the tightest symmetric order statistics whose binomial coverage is 95% or more."""
    ordered, count = sorted(values), len(values)
    median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    for k in range(count // 2 - 1, -1, -1):
        if sum(comb(count, j) for j in range(k + 1, count - k)) / 2**count >= 0.95:
            return median, ordered[k], ordered[count - 1 - k]
    return median, None, None


def test_a_rows_figures_follow_from_its_samples(run):
    bench, _ = run
    rows = bench.rows()
    assert len(rows) == 4
    for row in rows:
        samples = bench.ask("SELECT * FROM samples WHERE row_id = ? AND used", row["row_id"])
        seconds = {s["block"]: s["wall_s"] for s in samples}
        median, low, high = median_and_interval(list(seconds.values()))
        assert row["median_s"] == pytest.approx(median, rel=1e-12)
        assert (row["ci_low_s"], row["ci_high_s"]) == (low, high)
        (first,) = [r for r in rows if r["cell"] == row["cell"] and r["backend"] == "numpy"]
        theirs = {
            s["block"]: s["wall_s"] for s in bench.ask("SELECT * FROM samples WHERE row_id = ? AND used", first["row_id"])
        }
        median, low, high = median_and_interval([seconds[b] / theirs[b] for b in seconds.keys() & theirs.keys()])
        assert row["ratio_to_baseline"] == pytest.approx(median, rel=1e-12)
        if low is not None:
            assert (row["ratio_ci_low"], row["ratio_ci_high"]) == pytest.approx((low, high), rel=1e-12)
        assert row["samples"] == bench.ask("SELECT count(*) AS n FROM samples WHERE row_id = ? AND used", row["row_id"])[0]["n"]
        assert (row["status"] == "UNSTABLE") == (row["ci_high_s"] is None) or (row["ci_high_s"] - row["ci_low_s"]) > 0
        assert row["error_bound_ratio"] < 1
        assert row["max_error"] < 1e-5


def test_the_slower_one_is_slower_by_what_it_sleeps(run):
    bench, _ = run
    for row in bench.rows():
        if row["backend"] == "numpy":
            assert row["ratio_to_baseline"] == 1
        else:
            assert 0.003 < row["median_s"] < 0.01
            assert row["ratio_to_baseline"] > 3


def test_every_block_holds_each_backend_once(run):
    bench, _ = run
    for cell in (0, 1):
        found = bench.ask("SELECT s.*, r.backend FROM samples s JOIN rows r USING (row_id) WHERE r.cell = ?", cell)
        found += bench.ask("SELECT *, 'control' AS backend FROM controls WHERE cell = ?", cell)
        blocks = {}
        for sample in found:
            blocks.setdefault(sample["block"], {})[sample["position"]] = sample["backend"]
        assert len(blocks) >= 10
        assert all(sorted(block) == list(range(len(block))) for block in blocks.values())
        orders = [tuple(block[p] for p in sorted(block) if block[p] != "control") for block in blocks.values()]
        assert all(len(set(order)) == len(order) == 2 for order in orders)
        assert len(set(orders)) == 2  # both orders came up
        assert sum("control" in block.values() for block in blocks.values()) >= 10


def test_the_accounts_add_up_to_the_wall_time(run):
    bench, wall = run
    (found,) = bench.runs()
    summary = json.loads(found["summary"])
    accounts = {name: value for name, value in summary.items() if name != "wall_s"}
    assert sum(accounts.values()) == pytest.approx(summary["wall_s"], rel=1e-9)
    assert all(value >= 0 for value in accounts.values()), accounts
    assert wall - 1.5 < summary["wall_s"] < wall
    samples = bench.ask("SELECT sum(wall_s * calls) AS s FROM samples")[0]["s"]
    assert summary["in_samples_s"] == pytest.approx(samples, rel=1e-9)


def test_the_machine_the_seed_and_the_command_are_kept(run):
    bench, _ = run
    (found,) = bench.runs()
    assert found["command"].startswith("lstm-parity sweep tiny.toml --store ")
    (machine,) = bench.ask("SELECT * FROM machines WHERE machine_id = ?", found["machine_id"])
    assert {"cpu", "gpu", "libraries", "python", "git_commit", "load"} <= json.loads(machine["fingerprint"]).keys()
    assert not np.isnan(found["seed"])
    seeds = [row["seed"] for row in bench.rows()]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]  # one a cell, which the store does not tell before the cell is over
    assert all(abs(seed - found["seed"]) > len(seeds) for seed in seeds)


def test_all_floors_of_a_run_are_of_the_best_peaks(bench):
    """Also of rows that were measured before the peaks were measured anew."""
    patch = (
        "import lstm_parity.harness.sweep.run as r\nfrom lstm_parity.harness.machine.host import cpu_name\n"
        "rates = iter([1.0, 1e15])\n"
        "r.measure_peaks = lambda threads, cuda: {(cpu_name(), 'gemm:float32'): next(rates)}"
    )
    sweep = bench.tiny(steps=[2, 3])
    assert bench.run("sweep", sweep, "--store", "fresh.sqlite", patch=patch).returncode == 0
    with Store(bench.folder / "fresh.sqlite") as store:
        rows = store.frames().rows
    assert len(rows) == 2
    assert (rows["floor_s"] == rows["flops"] / 1e15).all(), rows[["flops", "floor_s"]]
