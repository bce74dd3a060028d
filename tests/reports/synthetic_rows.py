"""Result rows and samples of an invented run, drawn from a seed: for the tests of reports/ and for its benchmark."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lstm_parity.harness.records import COLUMNS, MutationScore, Peak, RawSample, Run, SuiteVerdict, columns_of
from lstm_parity.reports import ReportData

SPEEDS = {"numpy": (40e-6, 30e-6), "torch-cpu": (300e-6, 9e-6), "torch-cudnn": (900e-6, 1.5e-6)}
"""Fixed seconds and seconds per step of each backend, at hidden size 64 and batch size 1."""

FINGERPRINT = {
    "cpu": {"model": "Example CPU 9000", "cores": 8},
    "gpu": None,
    "cores": 8,
    "os": "Linux 6.1",
    "python": "3.12.4",
    "libraries": {"numpy": "2.1.0", "torch": "2.13.0"},
    "git_commit": "0123abc",
}


def synthetic_data(
    seed: int,
    speeds: Mapping[str, tuple[float, float]] = SPEEDS,
    baseline: str | None = "numpy",
    samples: int = 20,
    noise: float = 0.02,
    failing: float = 0.0,
    run_id: str = "run-1",
    **sizes: Sequence[Any],
) -> ReportData:
    """One row per backend and cell of the grid of `sizes` (any cell columns), `samples` samples each.

    noise: standard deviation of the logarithm of a sample; blocks share as much again. failing: share of rows that have another
    status than PASSED. Medians and intervals are those of the samples; ratios are the median of the quotients block by block.
    """
    rng = np.random.default_rng(seed)
    fixed = {"precision": "float32", "mode": "inference", "input_size": 64, "hidden_size": 64, "num_layers": 1,
             "bidirectional": False, "proj_size": 0, "bias": True, "peephole": False, "lengths": "full",
             "sequence_length": 100, "batch_size": 8, "weights": "spread", "cache": "cold", "launch": "call"}  # fmt: skip
    grid = pd.DataFrame(itertools.product(*({k: [v] for k, v in fixed.items()} | sizes).values()), columns=list(fixed))
    names = list(speeds)
    rows = grid.loc[grid.index.repeat(len(names))].reset_index(drop=True)
    rows["backend"] = names * len(grid)
    n = len(rows)
    a, b = (np.array([speeds[name][i] for name in names * len(grid)]) for i in (0, 1))
    size = rows["batch_size"].to_numpy(float) ** 0.5 * (rows["hidden_size"].to_numpy(float) / 64) ** 1.5
    true = a + b * rows["sequence_length"].to_numpy(float) * size
    block_effect = np.repeat(rng.normal(0, noise, (len(grid), samples)), len(names), axis=0)
    times = true[:, None] * np.exp(block_effect + rng.normal(0, noise, (n, samples)))
    ordered = np.sort(times, axis=1)
    rank = max(0, int(samples / 2 - 0.98 * samples**0.5) - 1)
    rows["median_s"] = np.median(times, axis=1)
    rows["ci_low_s"], rows["ci_high_s"] = ordered[:, rank], ordered[:, samples - 1 - rank]
    if baseline is not None:
        at = names.index(baseline)
        base = np.repeat(times[at :: len(names)], len(names), axis=0)
        quotients = np.sort(times / base, axis=1)
        rows["ratio_to_baseline"] = np.median(quotients, axis=1)
        rows["ratio_ci_low"], rows["ratio_ci_high"] = quotients[:, rank], quotients[:, samples - 1 - rank]
    rows["status"], rows["reason"] = "PASSED", None
    bad = rng.random(n) < failing
    kinds = ["WRONG", "UNSUPPORTED", "UNAVAILABLE", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "SUSPECT"]
    rows.loc[bad, "status"] = rng.choice(kinds, int(bad.sum()))
    rows.loc[bad, "reason"] = "for a reason of its own"
    rows.loc[bad, [c for c in rows.columns if c.endswith("_s") or c.startswith("ratio")]] = None
    rows = rows.assign(run_id=run_id, device="cpu", machine_id="machine-7", threads=2, seed=seed, samples=samples)
    rows = rows.assign(setup_s=0.012, transfer_s=None, peak_memory_bytes=3 << 20, flops=10**9, bytes=10**6, floor_s=1e-6)
    rows = rows.assign(max_error=3e-7, error_bound_ratio=0.12, effective_bits=24.0, started_at="2025-03-01T10:00:00+00:00")
    rows.insert(0, "row_id", np.arange(1, n + 1))
    taken = pd.DataFrame(
        {
            "row_id": np.repeat(rows["row_id"].to_numpy(), samples),
            "block": np.tile(np.arange(samples), n),
            "position": np.repeat(np.tile(np.arange(len(names)), len(grid)), samples),
            "calls": 1,
            "wall_s": times.ravel(),
            "device_s": np.nan,
            "used": True,
        }
    )
    return ReportData(
        rows=rows.reindex(columns=["row_id", *COLUMNS]),
        samples=taken.reindex(columns=["row_id", *columns_of(RawSample)]),
        controls=pd.DataFrame(),
        runs=runs_frame(run_id, seed),
        peaks=pd.DataFrame(columns=list(columns_of(Peak))),
        verdicts=pd.DataFrame(columns=list(columns_of(SuiteVerdict))),
        mutation_scores=pd.DataFrame(columns=list(columns_of(MutationScore))),
        command="lstm-parity report --out here",
    )


def runs_frame(run_id: str, seed: int = 0, started_at: str = "2025-03-01T10:00:00+00:00", **definition: Any) -> pd.DataFrame:
    """The runs frame of one run."""
    summary = {"wall_s": 120.0, "in_samples_s": 78.0, "setup_s": 12.0, "checks_s": 18.0, "statistics_s": 6.0, "waiting_s": 6.0}
    run = {
        "run_id": run_id,
        "machine_id": "machine-7",
        "fingerprint": json.dumps(FINGERPRINT),
        "definition": json.dumps(definition),
        "command": "lstm-parity sweep",
        "seed": seed,
        "started_at": started_at,
        "finished_at": "2025-03-01T10:02:00+00:00",
        "summary": json.dumps(summary),
    }
    return pd.DataFrame([run]).reindex(columns=list(columns_of(Run)))
