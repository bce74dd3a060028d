"""An invented store that holds something of everything a report can show: for its tests."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from lstm_parity.reports import ReportData

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`|*_[a](http://e.example) ‮evil‬ שלום 中文"
LONG = "module.with.a.very.long.name." * 12 + ":Backend"


def rich_data(synthetic, names=("numpy", "torch-cpu", "torch-cudnn", "mine.py:Mine", MARKUP, LONG)) -> ReportData:
    """Three runs of one machine and one of another; the newest with six backends, every status, verdicts and a score."""
    speeds = dict(
        zip(names, [(40e-6, 30e-6), (300e-6, 9e-6), (900e-6, 1.5e-6), (50e-6, 29e-6), (2e-3, 2e-6), (1e-4, 4e-5)], strict=False)
    )
    sizes = {"sequence_length": [1, 10, 100, 1000], "batch_size": [1, 8, 64], "precision": ["bfloat16", "float32"]}
    parts = [
        synthetic.synthetic_data(seed, speeds, samples=12, run_id=f"run-{seed}", failing=0.08 * (seed == 3), **sizes)
        for seed in (1, 2, 3, 4)
    ]
    parts.append(  # a problem of DeepBench
        synthetic.synthetic_data(
            5, speeds, samples=12, run_id="run-3", sequence_length=[25], batch_size=[16], input_size=[512], hidden_size=[512]
        )
    )
    rows, samples, first = [], [], 0
    for part in parts:
        rows.append(part.rows.assign(row_id=part.rows["row_id"] + first))
        samples.append(part.samples.assign(row_id=part.samples["row_id"] + first))
        first += len(part.rows)
    both = pd.concat(rows, ignore_index=True)
    both.loc[both["run_id"] == "run-4", "machine_id"] = "another"
    t, b, h, i = (both[c].astype(float) for c in ("sequence_length", "batch_size", "hidden_size", "input_size"))
    both["flops"] = (2 * t * b * 4 * h * (h + i)).astype("int64")
    both["bytes"] = (4 * (t * b * (h + i) + 4 * h * (h + i))).astype("int64")
    both["floor_s"] = both["flops"] / 2e12
    both["effective_bits"] = np.where(both["precision"] == "float32", 23.6, 7.9)
    newest = both["run_id"] == "run-3"
    both.loc[newest & (both["status"] != "PASSED"), "reason"] = MARKUP
    timed = both.index[newest & (both["status"] == "PASSED")]
    both.loc[timed[::9], "status"], both.loc[timed[::9], "reason"] = "UNSTABLE", "others kept 0.4 cores busy all the while"
    both.loc[newest & (both["status"] == "WRONG"), "error_bound_ratio"] = 4.1e5
    runs = pd.concat(
        [
            synthetic.runs_frame(f"run-{n}", n, f"2025-0{month}-01T10:00:00+00:00", baseline="numpy").assign(name=name)
            for n, month, name in ((1, 1, None), (2, 2, "before the rewrite"), (3, 4, None), (4, 3, MARKUP))
        ],
        ignore_index=True,
    )
    runs.loc[runs["run_id"] == "run-4", "machine_id"] = "another"
    peaks = pd.DataFrame(
        [
            ("machine-7", "cpu", 2, "gemm:float32", 4e12),
            ("machine-7", "cpu", 2, "copy", 5e10),
            ("machine-7", "cpu", 2, "grid_exchange", 1e-6),
        ],
        columns=["machine_id", "device", "threads", "kind", "value"],
    )
    return replace(
        parts[2], rows=both, samples=pd.concat(samples, ignore_index=True), runs=runs, peaks=peaks,
        verdicts=verdicts(names), mutation_scores=score(), store="my store.sqlite",
        command=f"lstm-parity report --store 'my store.sqlite' --out '{MARKUP}'",
    )  # fmt: skip


def verdicts(names) -> pd.DataFrame:
    """PASS of the first (an older FAIL before it), FAIL of the second, UNVERIFIED of the fifth, one of another machine."""
    failed = [
        {"check": "forward-float32", "status": "FAIL", "reason": f"y is first wrong at step 0 {MARKUP}"},
        {"check": "row-of-nan", "status": "SKIP", "reason": "not promised"},
    ]
    passed = [{"check": "forward-float32", "status": "PASS", "reason": ""}]
    unsure = [{"check": "backward", "status": "UNVERIFIED", "reason": "could show nothing"}]
    lines = [
        ("machine-7", names[0], "FAIL", failed),
        ("machine-7", names[0], "PASS", passed),
        ("machine-7", names[1], "FAIL", failed),
        ("machine-7", names[4], "UNVERIFIED", unsure),
        ("another", names[2], "PASS", passed),
    ]
    return pd.DataFrame(
        [
            (
                machine,
                name,
                verdict,
                json.dumps(checks),
                json.dumps({"float32": 23.9}),
                400,
                7,
                "0123abc",
                "2025-03-01T12:00:00+00:00",
            )
            for machine, name, verdict, checks in lines
        ],
        columns=[
            "machine_id",
            "backend",
            "verdict",
            "checks",
            "effective_bits",
            "examples",
            "seed",
            "git_commit",
            "finished_at",
        ],
    )


def score() -> pd.DataFrame:
    """A score with one survivor."""
    line = (289, 288, json.dumps(["drops-one-bias"]), "[]", "0123abc", "2025-03-02T12:00:00+00:00")
    return pd.DataFrame([line], columns=["total", "killed", "survivors", "false_alarms", "git_commit", "finished_at"])
