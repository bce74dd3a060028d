"""What is kept: result rows, raw samples, runs, verdicts and scores, in the columns that the store and every table have."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["PASSED", "WRONG", "UNSUPPORTED", "UNAVAILABLE", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "SUSPECT", "UNSTABLE"]
TIMED = ("PASSED", "UNSTABLE")
"""The statuses beside which a time may stand."""

LEAST_IS_BEST = ("grid_exchange",)
"""The kinds of peaks that are seconds; all others are so much a second."""

_TIMES = ("median_s", "ci_low_s", "ci_high_s", "ratio_to_baseline", "ratio_ci_low", "ratio_ci_high")


def now() -> str:
    """The time of day as the store has it: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One result: a cell and a backend, in the columns of every table. Seconds, bytes, operations.

    samples: those that the figures are made of; the store keeps those from disturbed blocks, too.
    seed: of the cell's inputs, the order of turns and what is checked; its weights come from the run's seed plus its number.

    Raises ValueError for a time beside a status that forbids it: a backend whose timed outputs are wrong has no speed.
    """

    run_id: str
    backend: str
    device: str | None = None
    machine_id: str
    precision: str
    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    proj_size: int
    bias: bool
    peephole: bool
    lengths: str
    sequence_length: int
    batch_size: int
    weights: str
    cache: str
    launch: str
    threads: int
    seed: int
    status: Status
    reason: str | None = None
    samples: int = 0
    median_s: float | None = None
    ci_low_s: float | None = None
    ci_high_s: float | None = None
    ratio_to_baseline: float | None = None
    ratio_ci_low: float | None = None
    ratio_ci_high: float | None = None
    setup_s: float | None = None
    transfer_s: float | None = None
    peak_memory_bytes: int | None = None
    peak_device_memory_bytes: int | None = None
    flops: int | None = None
    bytes: int | None = None
    floor_s: float | None = None
    max_error: float | None = None
    error_bound_ratio: float | None = None
    effective_bits: float | None = None
    started_at: str

    def __post_init__(self) -> None:
        if self.status not in TIMED and any(getattr(self, name) is not None for name in _TIMES):
            raise ValueError(f"a row with status {self.status} has no time")
        if self.status in TIMED and self.median_s is None:
            raise ValueError(f"a row with status {self.status} has a time")


COLUMNS = tuple(field.name for field in fields(Row))
FLAGS = tuple(field.name for field in fields(Row) if field.type == "bool")


@dataclass(frozen=True)
class RawSample:
    """One timed sample: seconds a call on the wall clock and between device events, where there is a device.

    block: which round of all backends; position: whose turn it was in it; foreign_load: cores that others kept busy meanwhile;
    used: whether it counts in the row's figures (one from a disturbed block does not); gpu_clock_mhz, gpu_throttle: the GPU's
    clock and the driver's bits of why it is held down, after the block, where the driver tells.
    """

    block: int
    position: int
    calls: int
    wall_s: float
    device_s: float | None
    foreign_load: float | None
    used: bool
    gpu_clock_mhz: float | None = None
    gpu_throttle: int | None = None

    def seen_beside(self, foreign_load: float | None, *, used: bool) -> RawSample:
        """The same sample with what was going on meanwhile."""
        return replace(self, foreign_load=foreign_load, used=used)

    def seen_at(self, clock_mhz: float | None, throttle: int | None, *, used: bool) -> RawSample:
        """The same sample with what the GPU's driver said after it."""
        return replace(self, gpu_clock_mhz=clock_mhz, gpu_throttle=throttle, used=used)

    @property
    def seconds(self) -> float:
        """The time that counts: the device's, where there is one."""
        return self.wall_s if self.device_s is None else self.device_s


@dataclass(frozen=True)
class Run:
    """One sweep as it stands in the store.

    definition: what was to be measured, as JSON; summary: where the time went, as JSON; name: what a person called it.
    """

    run_id: str
    definition: str
    definition_hash: str
    machine_id: str
    fingerprint: str
    command: str
    seed: int
    started_at: str
    finished_at: str | None = None
    summary: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the property suite said of a backend. checks: [{check, status, reason, ...}] and effective_bits as JSON text."""

    machine_id: str
    backend: str
    verdict: str
    checks: str
    effective_bits: str
    examples: int
    seed: int
    git_commit: str | None
    finished_at: str


@dataclass(frozen=True)
class MutationScore:
    """The property suite's own score. survivors, false_alarms: names, as JSON text."""

    total: int
    killed: int
    survivors: str
    false_alarms: str
    git_commit: str | None
    finished_at: str


@dataclass(frozen=True, eq=False)
class Frames:
    """The store as tables: `rows` with row_id and cell, `samples` and `controls` (what the control took, by run and cell),
    `runs`, `peaks`, `verdicts` and `mutation_scores`; runs and verdicts in the order in which they were added.
    """

    rows: pd.DataFrame
    samples: pd.DataFrame
    controls: pd.DataFrame
    runs: pd.DataFrame
    peaks: pd.DataFrame
    verdicts: pd.DataFrame
    mutation_scores: pd.DataFrame
