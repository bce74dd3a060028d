"""The records that the store keeps: result rows, raw samples, runs, peaks, verdicts and scores.

Their fields are the columns of every table: SQL, pandas dtypes and column lists are derived from these classes, so a column is
added here alone. A nested record (a row's cell, a cell's LSTMSpec) becomes columns of the table that it is stored in.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_type_hints

from lstm_parity.backends import LSTMSpec

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["WRONG", "SUSPECT", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "UNSTABLE", "UNSUPPORTED", "UNAVAILABLE", "PASSED"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""The statuses of a row, the most severe first."""
TIMED = ("PASSED", "UNSTABLE")
"""The statuses that allow a time."""
BAD = ("WRONG", "SUSPECT", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY")
"""The statuses that make a sweep end with exit code 1."""

MIN_IS_BEST = ("grid_exchange",)
"""The kinds of peaks that are seconds; all others are rates."""

RATIO_COLUMNS = ("ratio_to_baseline", "ratio_ci_low", "ratio_ci_high")
MEDIAN_COLUMNS = ("median_s", "ci_low_s", "ci_high_s", *RATIO_COLUMNS)
"""The columns of a row that are empty beside a status that is not in TIMED."""


DEFAULT_SPEC = LSTMSpec(256, 256)

_DTYPES = {
    int: ("int64", "Int64"),
    bool: ("bool", "boolean"),
    float: ("float64", "float64"),
    str: ("string", "string"),
}
"""The pandas dtype of values that are all there, and of values that may be missing."""
_SQL_TYPES = {int: "INTEGER", bool: "INTEGER", float: "REAL", str: "TEXT"}


def now() -> str:
    """The current time in UTC, in ISO format with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: type
    """int, float, bool or str."""
    optional: bool = False
    """Whether a value may be missing."""
    path: str = ""
    """Where the value is in the record, such as `cell.spec.hidden_size`."""
    choices: tuple[str, ...] = ()
    """The values that it can have, where they are named."""

    @property
    def dtype(self) -> str:
        """The pandas dtype."""
        return _DTYPES[self.type][self.optional]

    @property
    def sql(self) -> str:
        """The column's part of CREATE TABLE."""
        return f"{self.name} {_SQL_TYPES[self.type]}{'' if self.optional else ' NOT NULL'}"


def columns_of(record: type[Any]) -> dict[str, Column]:
    """The columns that a record class is stored in, by name, in their order."""
    hints, found = get_type_hints(record), dict[str, Column]()
    for field in fields(record):
        hint = hints[field.name]
        if isinstance(hint, type) and is_dataclass(hint):
            found |= {name: replace(c, path=f"{field.name}.{c.path}") for name, c in columns_of(hint).items()}
            continue
        optional = NoneType in get_args(hint)
        kind = next(h for h in get_args(hint) if h is not NoneType) if optional else hint
        choices = get_args(kind)
        found[field.name] = Column(field.name, str if choices else kind, optional, field.name, choices)
    first: tuple[str, ...] = getattr(record, "FIRST_COLUMNS", ())
    return {name: found[name] for name in dict.fromkeys((*first, *found))}


def dtypes_of(record: type[Any]) -> dict[str, str]:
    """Column name -> pandas dtype."""
    return {name: column.dtype for name, column in columns_of(record).items()}


@cache
def _getter(record: Any) -> attrgetter[Any]:
    return attrgetter(*(column.path for column in columns_of(record).values()))


def values_of(record: Any) -> tuple[Any, ...]:
    """The values of a record, in the order of its columns."""
    record_class: Any = type(record)
    return tuple(_getter(record_class)(record))


@dataclass(frozen=True)
class Cell:
    """One cell of a sweep: an LSTM problem and how it is measured."""

    FIRST_COLUMNS: ClassVar = ("precision", "mode")

    spec: LSTMSpec = DEFAULT_SPEC
    """The LSTM."""
    mode: Literal["inference", "training"] = "inference"
    lengths: Literal["full", "ragged"] = "full"
    """full: every batch row has T steps; ragged: lengths are drawn uniformly from 1..T."""
    sequence_length: int = 50
    """T."""
    batch_size: int = 16
    """B."""
    weights: str = "spread"
    """"spread" (drawn), or the model file that they come from."""
    cache: Literal["cold", "warm"] = "cold"
    """Whether the inputs are in a cache when a timed call begins."""
    launch: Literal["call", "graph"] = "call"
    """call: a plain call; graph: the replay of a CUDA graph."""

    @classmethod
    def of(cls, **columns: Any) -> Cell:
        """The cell with these columns of a row; those left out have their default. Raises ValueError for a wrong LSTMSpec."""
        of_spec = {field.name: columns.pop(field.name) for field in fields(LSTMSpec) if field.name in columns}
        return cls(spec=replace(cls.spec, **of_spec), **columns)

    def columns(self) -> dict[str, Any]:
        """Column name -> value, in the order of a result row."""
        return dict(zip(CELL_COLUMNS, values_of(self), strict=True))

    @property
    def training(self) -> bool:
        """Whether a call is a forward and a backward."""
        return self.mode == "training"

    @property
    def ragged(self) -> bool:
        """Whether batch rows have different lengths."""
        return self.lengths == "ragged"

    def __str__(self) -> str:
        spec = self.spec
        size = f"T={self.sequence_length} B={self.batch_size} I={spec.input_size} H={spec.hidden_size}"
        extras = [
            f"L={spec.num_layers}" * (spec.num_layers > 1),
            "bidirectional" * spec.bidirectional,
            f"P={spec.proj_size}" * (spec.proj_size > 0),
            "no bias" * (not spec.bias),
            "peepholes" * spec.peephole,
            "ragged" * self.ragged,
            "warm" * (self.cache == "warm"),
            "graph" * (self.launch == "graph"),
        ]
        return " ".join([spec.precision, self.mode, size, *filter(None, extras)])


CELL_COLUMNS = tuple(columns_of(Cell))
"""The columns of a row that identify its cell."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One result: a backend in a cell. Units: seconds, bytes, floating-point operations.

    Raises ValueError for a time beside a status that forbids it, and for a missing time beside one that requires it.
    """

    run_id: str
    backend: str
    device: str | None = None
    """The name of the device that it ran on."""
    machine_id: str
    cell: Cell
    threads: int
    seed: int
    """Draws the cell's inputs, the order of turns and what is checked; the weights are drawn from the run's seed."""
    status: Status
    reason: str | None = None
    samples: int = 0
    """How many samples the figures are computed from; the store keeps those of disturbed blocks, too."""
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
        if self.status not in TIMED and any(getattr(self, name) is not None for name in MEDIAN_COLUMNS):
            raise ValueError(f"a row with status {self.status} has no time")
        if self.status in TIMED and self.median_s is None:
            raise ValueError(f"a row with status {self.status} has a time")


COLUMNS = tuple(columns_of(Row))
"""The columns of a result row in the store, CSV, Parquet and pandas."""


@dataclass(frozen=True)
class RawSample:
    """One timed sample of one backend."""

    block: int
    """The number of the block, in which every backend is sampled once."""
    position: int
    """The backend's turn in the block."""
    calls: int
    wall_s: float
    """Seconds a call on the wall clock."""
    device_s: float | None
    """Seconds a call between two events on the device's stream; None on a CPU."""
    foreign_load: float | None
    """Cores kept busy by other processes meanwhile."""
    used: bool
    """Whether the row's figures count it; a sample of a disturbed block does not count."""
    gpu_clock_mhz: float | None = None
    """The GPU's clock after the block."""
    gpu_throttle: int | None = None
    """The driver's bits of what reduces that clock."""

    def with_background_load(self, foreign_load: float | None, *, used: bool) -> RawSample:
        """The same sample with the background load while it was taken."""
        return replace(self, foreign_load=foreign_load, used=used)

    def with_gpu_state(self, clock_mhz: float | None, throttle: int | None, *, used: bool) -> RawSample:
        """The same sample with the state of the GPU after it."""
        return replace(self, gpu_clock_mhz=clock_mhz, gpu_throttle=throttle, used=used)

    @property
    def seconds(self) -> float:
        """The device's time where there is one, else the wall clock's."""
        return self.wall_s if self.device_s is None else self.device_s


@dataclass(frozen=True)
class Run:
    """One sweep."""

    run_id: str
    definition: str
    """What is to be measured, as JSON."""
    definition_hash: str
    machine_id: str
    fingerprint: str
    """The machine, as JSON."""
    command: str
    seed: int
    started_at: str
    finished_at: str | None = None
    summary: str | None = None
    """Seconds by phase, as JSON."""
    name: str | None = None
    """The name that a user gave it."""


@dataclass(frozen=True)
class Peak:
    """The best that was measured on a machine: operations or bytes a second, or seconds for a kind in MIN_IS_BEST."""

    machine_id: str
    device: str
    threads: int
    kind: str
    value: float


@dataclass(frozen=True)
class SuiteVerdict:
    """The verdict of the property suite on a backend."""

    machine_id: str
    backend: str
    verdict: str
    checks: str
    """[{check, status, reason, ...}] as JSON."""
    effective_bits: str
    """{precision: bits} as JSON."""
    examples: int
    seed: int
    git_commit: str | None
    finished_at: str


@dataclass(frozen=True)
class MutationScore:
    """How many of the mutants the property suite killed."""

    total: int
    killed: int
    survivors: str
    """Names, as JSON."""
    false_alarms: str
    """Names, as JSON."""
    git_commit: str | None
    finished_at: str


@dataclass(frozen=True, eq=False)
class Frames:
    """The tables of a store, in the dtypes of `dtypes_of`, in the order in which the records were added."""

    rows: pd.DataFrame
    """Row, with `row_id` and `cell`, the number of the cell in its run."""
    samples: pd.DataFrame
    """RawSample, with the `row_id` of its row."""
    controls: pd.DataFrame
    """RawSample of the control workload, with `run_id`, `cell` and `device`."""
    runs: pd.DataFrame
    peaks: pd.DataFrame
    verdicts: pd.DataFrame
    mutation_scores: pd.DataFrame
