"""Measures the error rates of `duel` and `compare` on pairs whose right verdict is known.

Identical code (the NumPy backend under two names) must not be called SLOWER or FASTER; a planted slowdown of 5% must be found
by `duel`. Both are measured idle and with a competing load. Each pair is written to a file as soon as it is measured, and a
later call continues the file.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from ..errors import CallError
from ..machine.host import cpu_count, fingerprint, machine_id
from ..records import Cell, Frames, Run
from ..statistics import max_rate
from ..store import Store
from ..sweep.grid import DEFAULT_BUDGET_S, Definition, load_sweep
from ..sweep.peaks import Peaks
from ..sweep.run import run_sweep
from ..sweep.workers import WorkerSpec
from ..text import Progress
from ..worker.spawn import end, spawn
from .decide import Decided, decide
from .duel import DUEL_BUDGET_S, duel_threads, run_duel
from .finished import compare_runs

THRESHOLD = 0.02
SAME, SLOWED = "lstm_parity.harness.compare.planted:Same", "lstm_parity.harness.compare.planted:Slowed"
CELLS = tuple(
    Cell.of(sequence_length=t, batch_size=b, input_size=64, hidden_size=h)
    for t, b, h in product((50, 75, 100), (1, 4, 8), (64, 128))
)
BURST_S = (0.05, 1.0)
"""Shortest and longest burst and pause of the competing load, in seconds."""
MAX_FALSE, MIN_FOUND = 0.01, 0.95
"""The promised rates: verdicts SLOWER or FASTER of identical code, and slowdowns found by `duel`."""


@dataclass(frozen=True)
class Record:
    """One pair."""

    command: str
    """`duel` or `compare`."""
    machine: str
    """`idle` or `busy`."""
    planted: bool
    """Whether the new side is slower."""
    cell: str
    verdict: str
    ratio: float | None
    """Of the change, as are the ends of its interval, low and high."""
    low: float | None
    high: float | None
    rounds: tuple[float, ...] = ()
    """The ratio in each round of a duel."""


def calibrate(file: Path, pairs: int, progress: Progress) -> list[Record]:
    """Continue the file until it has that many pairs of identical code of each kind, and a fifth as many slowed ones.

    A fifth, because 59 pairs without a miss show a rate above 95%, as 299 without a false verdict show one below 1% (one-sided,
    95%). Returns all pairs. Raises CallError.
    """
    machine = machine_id(fingerprint())
    records = _load(file, machine)
    kinds = [(command, where) for where in ("idle", "busy") for command in ("duel", "compare")]
    progress.started(len(kinds) * sum(_wanted(planted, pairs) for planted in (False, True)), len(records))
    for command, where in kinds:
        with competing_load() if where == "busy" else nullcontext():
            measure = _duels(records, where, pairs) if command == "duel" else _comparisons(records, where, pairs)
            for found in measure:
                records += found
                file.write_text(json.dumps({"machine": machine, "records": [asdict(r) for r in records]}), encoding="utf-8")
                for _ in found:
                    progress.finished(f"{command}, {where}")
    return records


def _load(file: Path, machine: str) -> list[Record]:
    if not file.exists():
        return []
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        found, where = [Record(**r) for r in data["records"]], data["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CallError(f"{file} is not a file of `lstm-parity calibrate`: {error}; name another") from error
    if where != machine:
        raise CallError(f"{file} was measured on another machine, or with other libraries; name another")
    return found


def _of_kind(records: Sequence[Record], command: str, where: str, planted: bool) -> list[Record]:
    return [r for r in records if (r.command, r.machine, r.planted) == (command, where, planted)]


def _missing(records: Sequence[Record], command: str, where: str, planted: bool, pairs: int) -> int:
    return _wanted(planted, pairs) - len(_of_kind(records, command, where, planted))


def _wanted(planted: bool, pairs: int) -> int:
    return math.ceil(pairs / 5) if planted else pairs


def _duels(records: Sequence[Record], where: str, pairs: int) -> Iterator[list[Record]]:
    """Duels of identical code and of slowed code, alternating."""
    definition = Definition("calibration", CELLS, ("numpy", SAME), True, duel_threads(), DUEL_BUDGET_S)
    peaks: Peaks = {}
    while max(_missing(records, "duel", where, planted, pairs) for planted in (False, True)) > 0:
        for planted, new in ((False, SAME), (True, SLOWED)):
            if _missing(records, "duel", where, planted, pairs) > 0:
                found = run_duel(definition, {"numpy": WorkerSpec("numpy"), new: WorkerSpec(new)}, Progress(), peaks)
                yield [_record("duel", where, planted, d) for d in decide(found, THRESHOLD)]


def _comparisons(records: Sequence[Record], where: str, pairs: int) -> Iterator[list[Record]]:
    """Each run against the one before: every backend with itself, and the slowed one with the one that it slows."""
    budget = load_sweep("smoke").budget_s or DEFAULT_BUDGET_S
    definition = Definition("calibration", CELLS, ("numpy", SAME, SLOWED), True, cpu_count(), budget)
    before: tuple[Run, Frames] | None = None
    with TemporaryDirectory(prefix="lstm-parity-calibrate-") as folder:
        while max(_missing(records, "compare", where, planted, pairs) for planted in (False, True)) > 0:
            with Store(Path(folder) / "calibration.sqlite", create=True) as store:
                outcome = run_sweep(definition, store, "lstm-parity calibrate", Progress())
                frames = store.frames()
                now = (store.find_run(outcome.run_id), frames)
            if before is not None:
                same = decide(compare_runs(before, now, THRESHOLD), THRESHOLD)
                slowed = decide(compare_runs(_as(before, SAME, "x"), _as(now, SLOWED, "x"), THRESHOLD), THRESHOLD)
                yield [
                    *(_record("compare", where, False, d) for d in same),
                    *(_record("compare", where, True, d) for d in slowed if d.pair.backend == "x"),
                ]
            before = now


def _as(run: tuple[Run, Frames], backend: str, name: str) -> tuple[Run, Frames]:
    """The run with a backend under another name."""
    rows = run[1].rows
    return run[0], replace(run[1], rows=rows.assign(backend=rows["backend"].where(rows["backend"] != backend, name)))


def _record(command: str, where: str, planted: bool, d: Decided) -> Record:
    change = d.pair.change
    ratio, low, high = (None, None, None) if change is None else (change.ratio, change.low, change.high)
    return Record(command, where, planted, str(d.pair.cell), d.verdict, ratio, low, high, d.pair.rounds)


def as_markdown(records: Sequence[Record]) -> str:
    """The error rates as a table, with the upper end of the 95% interval of the rate of false verdicts."""
    lines = [
        "| command | machine | identical code: pairs | called SLOWER or FASTER | at most (95%) | UNCLEAR "
        "| 5% slower: pairs | found | called FASTER |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for command in ("duel", "compare"):
        for where in ("idle", "busy"):
            same, slowed = (_of_kind(records, command, where, planted) for planted in (False, True))
            if same and slowed:
                false = sum(r.verdict in ("SLOWER", "FASTER") for r in same)
                unclear = sum(r.verdict == "UNCLEAR" for r in same) / len(same)
                found = sum(r.verdict == "SLOWER" for r in slowed)
                wrong = sum(r.verdict == "FASTER" for r in slowed)
                lines.append(
                    f"| `{command}` | {where} | {len(same)} | {false} ({false / len(same):.1%}) "
                    f"| {max_rate(false, len(same)):.1%} | {unclear:.0%} "
                    f"| {len(slowed)} | {found} ({found / len(slowed):.1%}) | {wrong} |"
                )
    return "\n".join(lines)


def rates_met(records: Sequence[Record]) -> bool:
    """Whether both commands meet MAX_FALSE, and `duel` meets MIN_FOUND."""
    for command in ("duel", "compare"):
        for where in ("idle", "busy"):
            same, slowed = (_of_kind(records, command, where, planted) for planted in (False, True))
            if sum(r.verdict in ("SLOWER", "FASTER") for r in same) > MAX_FALSE * len(same):
                return False
            if command == "duel" and sum(r.verdict == "SLOWER" for r in slowed) < MIN_FOUND * len(slowed):
                return False
    return True


@contextmanager
def competing_load() -> Iterator[None]:
    """Within, another process keeps one core busy for about half of the time, in bursts and pauses of random length."""
    process, ours = spawn(_compute, 1)
    try:
        yield
    finally:
        ours.close()
        end(process)


def _compute(pipe: Connection) -> None:
    import numpy as np

    a = np.random.default_rng(0).standard_normal((256, 256))
    while True:
        until = perf_counter() + random.uniform(*BURST_S)
        while perf_counter() < until:
            np.tanh(a @ a)
        if pipe.poll(random.uniform(*BURST_S)):
            return
