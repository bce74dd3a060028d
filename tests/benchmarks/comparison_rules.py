# ruff: noqa: T201
"""`duel` compared with other tools on the same pairs: identical code, and code that was made 5% slower.

    pip install torch asv pytest-benchmark
    python tests/benchmarks/comparison_rules.py [GROUPS] [idle|busy]

A group is one duel of identical code and one of slowed code, with one pair for each cell of the calibration. Every other tool
then has the same wall time for the same pairs: half of it for each side, one side after the other, each in a process of its own
(as two versions of a package need), with as many threads as a duel gives to a side. torch.utils.benchmark: medians of
`blocked_autorange`; pytest-benchmark: the minimum; asv: its own test (Mann-Whitney, p < 0.002) on its own samples, and medians.
Each calls a pair different from a change of 2.5% on, half of the planted one, the limit at which it does best. Prints a
Markdown table.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LIMIT = 1.025
TOOLS = ("torch.utils.benchmark", "pytest-benchmark", "asv")
PYTEST_FILE = """\
import sys
sys.path[:0] = [{root!r}, {here!r}]
from comparison_rules import workload
CALL = workload({backend!r}, {cell})
def test_one(benchmark):
    benchmark(CALL)
"""


def workload(backend, cell):
    """A function without arguments that makes one call of a backend on the inputs of a calibration cell."""
    import numpy as np

    from lstm_parity.backends import load_backend
    from lstm_parity.harness.compare.calibrate import CELLS
    from lstm_parity.harness.problems.call_inputs import draw_batch, draw_weights

    where = CELLS[cell]
    made = load_backend(backend)(where.spec, draw_weights(where.spec, 0))
    inputs = draw_batch(where, 0, 1, 0, np.arange(where.batch_size))
    return lambda: made.forward(inputs.x, inputs.state)


def measure(tool, backend, cell, seconds):
    """The tool's result for one side: {"figure": seconds per call} and, for asv, its samples and statistics."""
    if tool == "pytest-benchmark":
        return _pytest_benchmark(backend, cell, seconds)
    call = workload(backend, cell)
    if tool == "torch.utils.benchmark":
        from torch.utils.benchmark import Timer

        return {"figure": Timer("call()", globals={"call": call}).blocked_autorange(min_run_time=seconds).median}
    from asv_runner.benchmarks.time import TimeBenchmark
    from asv_runner.statistics import compute_stats

    class Settings:
        repeat, rounds, warmup_time = (2, 10**6, seconds), 1, 0.1

    found = TimeBenchmark("time_call", call, [Settings]).run()
    value, stats = compute_stats(found["samples"], found["number"])
    return {"figure": value, "samples": found["samples"], "stats": stats}


def _pytest_benchmark(backend, cell, seconds):
    with tempfile.TemporaryDirectory() as folder:
        file, result = Path(folder, "test_one.py"), Path(folder, "result.json")
        here = str(Path(__file__).parent)
        file.write_text(PYTEST_FILE.format(root=str(ROOT), here=here, backend=backend, cell=cell))
        options = ["-p", "no:cacheprovider", f"--benchmark-max-time={seconds}", f"--benchmark-json={result}"]
        subprocess.run([sys.executable, "-m", "pytest", "-q", *options, str(file)], cwd=folder, check=True, capture_output=True)
        return {"figure": json.loads(result.read_text())["benchmarks"][0]["stats"]["min"]}


def one_side(tool, backend, cell, seconds):
    from lstm_parity.harness.compare.duel import duel_threads
    from lstm_parity.harness.machine.host import worker_environment

    words = [sys.executable, __file__, "--side", tool, backend, str(cell), str(seconds)]
    with worker_environment(duel_threads()):
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def called(tool, old, new):
    """ "slower", "faster" or "" for two sides, by the tool's rule."""
    if tool == "asv":
        from asv._stats import is_different

        if not is_different(old["samples"], new["samples"], old["stats"], new["stats"]):
            return ""
    ratio = new["figure"] / old["figure"]
    return "slower" if ratio > LIMIT else "faster" if ratio < 1 / LIMIT else ""


def main(groups, busy):
    from lstm_parity.harness.compare.calibrate import CELLS, SAME, SLOWED, THRESHOLD
    from lstm_parity.harness.compare.decide import decide
    from lstm_parity.harness.compare.duel import DUEL_BUDGET_S, duel_threads, run_duel
    from lstm_parity.harness.compare.load import competing_load
    from lstm_parity.harness.sweep.grid import Definition
    from lstm_parity.harness.sweep.workers import WorkerSpec
    from lstm_parity.harness.text import Progress

    calls = {tool: {False: [], True: []} for tool in ("duel", *TOOLS)}
    seconds = []
    for group in range(groups):
        for planted, new in ((False, SAME), (True, SLOWED)):
            with competing_load() if busy else nullcontext():
                start = perf_counter()
                definition = Definition("rules", CELLS, ("numpy", new), True, duel_threads(), DUEL_BUDGET_S)
                pairs = run_duel(definition, {"numpy": WorkerSpec("numpy"), new: WorkerSpec(new)}, Progress())
                seconds.append((perf_counter() - start) / len(CELLS))
                words = {"SLOWER": "slower", "FASTER": "faster"}
                calls["duel"][planted] += [words.get(d.verdict, "") for d in decide(pairs, THRESHOLD)]
                for cell in range(len(CELLS)):
                    for tool in TOOLS:
                        old, now = (one_side(tool, b, cell, seconds[-1] / 2) for b in ("numpy", new))
                        calls[tool][planted].append(called(tool, old, now))
        print(f"{group + 1} of {groups}", file=sys.stderr, flush=True)
    print(f"\n{statistics.fmean(seconds):.1f} s per pair, {'with background load' if busy else 'without background load'}\n")
    print("| tool | identical code: pairs | called slower or faster | 5% slower: pairs | found |\n|---|---|---|---|---|")
    for tool, (same, slowed) in ((tool, (kinds[False], kinds[True])) for tool, kinds in calls.items()):
        false, found = sum(map(bool, same)), slowed.count("slower")
        counts = f"{false} ({false / len(same):.0%}) | {len(slowed)} | {found} ({found / len(slowed):.0%})"
        print(f"| {tool} | {len(same)} | {counts} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 8, busy=sys.argv[2:3] == ["busy"])
