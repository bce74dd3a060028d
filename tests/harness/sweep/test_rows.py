"""A finished run: its figures follow from its samples, and its phases add up to its wall time."""

import json
from math import comb

import pytest

from lstm_parity.harness.records import TIMED
from lstm_parity.harness.store import Store
from lstm_parity.harness.sweep.phase_timer import PHASES
from lstm_parity.harness.sweep.row_status import UNSTABLE

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


PATCH = """
import atexit, json, pathlib, time
import lstm_parity.harness.commands.sweep, lstm_parity.harness.sweep.run as r
def timed(*arguments, measure=r.run_sweep, **options):
    before = time.perf_counter()
    result = measure(*arguments, **options)
    pathlib.Path("wall.json").write_text(json.dumps(time.perf_counter() - before))
    return result
r.run_sweep = timed
import lstm_parity.harness.sweep.sampling as s
s.ENOUGH, s.SAMPLES_TO_OVERHEAD = 0.1, 0.0
"""
"""Writes how long run_sweep took, by a clock outside it; and sampling ends soon where the machine is idle."""


@pytest.fixture(scope="module")
def run(shared_bench):
    slow = shared_bench.file("slow.py", SLOW) + ":X"
    done = shared_bench.sweep(shared_bench.tiny(["numpy", slow], budget=5.0), patch=PATCH)
    assert done.returncode == 0, done.stderr
    return shared_bench


def test_a_backends_remark_is_the_reason_of_its_rows(run):
    for row in run.rows():
        remark = None if row["backend"] == "numpy" else "slow, on purpose"
        assert row["status"] in TIMED
        if row["status"] == "PASSED":
            assert row["reason"] == remark
        else:
            assert row["reason"] not in (None, remark)


def median_and_interval(values):
    """The median and the tightest symmetric order statistics whose binomial coverage is 95% or more."""
    ordered, count = sorted(values), len(values)
    median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    for k in range(count // 2 - 1, -1, -1):
        if sum(comb(count, j) for j in range(k + 1, count - k)) / 2**count >= 0.95:
            return median, ordered[k], ordered[count - 1 - k]
    return median, None, None


def test_a_rows_figures_follow_from_its_samples(run):
    rows = run.rows()
    assert len(rows) == 4
    for row in rows:
        samples = run.ask("SELECT * FROM samples WHERE row_id = ? AND used", row["row_id"])
        seconds = {s["block"]: s["wall_s"] for s in samples}
        median, low, high = median_and_interval(list(seconds.values()))
        assert row["median_s"] == pytest.approx(median, rel=1e-12)
        assert (row["ci_low_s"], row["ci_high_s"]) == (low, high)
        (first,) = [r for r in rows if r["cell"] == row["cell"] and r["backend"] == "numpy"]
        theirs = {s["block"]: s["wall_s"] for s in run.ask("SELECT * FROM samples WHERE row_id = ? AND used", first["row_id"])}
        median, low, high = median_and_interval([seconds[b] / theirs[b] for b in seconds.keys() & theirs.keys()])
        assert row["ratio_to_baseline"] == pytest.approx(median, rel=1e-12)
        ends = (row["ratio_ci_low"], row["ratio_ci_high"])
        assert ends == ((None, None) if low is None else pytest.approx((low, high), rel=1e-12))
        assert row["samples"] == len(samples) > 0
        if row["status"] == "PASSED":
            assert row["ci_low_s"] <= row["median_s"] <= row["ci_high_s"]
            assert (row["ci_high_s"] - row["ci_low_s"]) / 2 / row["median_s"] <= UNSTABLE
        assert 0 < row["error_bound_ratio"] < 1
        assert 0 < row["max_error"] < 1e-5


def test_the_slower_one_is_slower_by_what_it_sleeps(run):
    for row in run.rows():
        if row["backend"] == "numpy":
            assert row["ratio_to_baseline"] == 1
        else:
            assert row["median_s"] >= 0.003
            assert row["ratio_to_baseline"] > 1


def test_every_block_holds_each_backend_once(run):
    for cell in (0, 1):
        found = run.ask("SELECT s.*, r.backend FROM samples s JOIN rows r USING (row_id) WHERE r.cell = ?", cell)
        found += run.ask("SELECT *, 'control' AS backend FROM controls WHERE cell = ?", cell)
        blocks = {}
        for sample in found:
            blocks.setdefault(sample["block"], {})[sample["position"]] = sample["backend"]
        assert len(blocks) >= 10
        assert all(sorted(block) == list(range(len(block))) for block in blocks.values())
        orders = [tuple(block[p] for p in sorted(block) if block[p] != "control") for block in blocks.values()]
        assert all(len(set(order)) == len(order) == 2 for order in orders)
        assert len(set(orders)) == 2  # both orders came up
        assert sum("control" in block.values() for block in blocks.values()) >= 10


def test_the_phases_add_up_to_the_wall_time(run):
    (found,) = run.runs()
    summary = json.loads(found["summary"])
    phases = {name: value for name, value in summary.items() if name != "wall_s"}
    assert sum(phases.values()) == pytest.approx(summary["wall_s"], rel=1e-9)
    assert phases.keys() == {"in_samples_s", *(f"{name}_s" for name in PHASES if name != "samples"), "waiting_s"}
    assert all(value > 0 for name, value in phases.items() if name != "peaks_s"), phases
    assert phases["peaks_s"] == 0  # they were in the store
    outside = json.loads((run.folder / "wall.json").read_text())
    assert 0.5 * outside < summary["wall_s"] < outside  # all of it but the end of the workers
    samples = run.ask("SELECT sum(wall_s * calls) AS s FROM samples")[0]["s"]
    assert summary["in_samples_s"] == pytest.approx(samples, rel=1e-9)


def test_the_machine_the_seed_and_the_command_are_stored(run):
    (found,) = run.runs()
    assert found["command"].startswith("lstm-parity sweep tiny.toml --store ")
    (machine,) = run.ask("SELECT * FROM machines WHERE machine_id = ?", found["machine_id"])
    assert json.loads(machine["fingerprint"]) == json.loads(found["fingerprint"])
    assert {"cpu", "gpu", "libraries", "python", "git_commit", "load"} <= json.loads(machine["fingerprint"]).keys()
    assert isinstance(found["seed"], int)
    seeds = [row["seed"] for row in run.rows()]
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
