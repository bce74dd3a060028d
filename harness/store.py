"""The store: result rows, raw samples, runs, machines, measured peaks and verdicts in one SQLite file.

One transaction a cell: either all of its rows and samples are stored, or none. Nothing else passes from the harness to the
reports. Every run is kept until `lstm-parity runs delete` deletes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from .errors import CallError
from .records import (
    COLUMNS,
    MIN_IS_BEST,
    Column,
    Frames,
    MutationScore,
    Peak,
    RawSample,
    Row,
    Run,
    SuiteVerdict,
    columns_of,
    values_of,
)

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
BUSY_SECONDS = 10.0
"""How long to wait for another process that is writing."""
CHUNK_ROWS = 100_000
NEWEST = "newest"
"""The name that stands for the run that was started last."""
MAX_LISTED = 6
"""How many runs an error message lists."""


@dataclass(frozen=True)
class _Table:
    """A table: columns of its own, followed by those of a record class."""

    name: str
    record: type | None = None
    own: tuple[Column, ...] = ()
    constraints: tuple[str, ...] = ()
    index: str | None = None
    """The columns of its index."""
    columns: dict[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        of_record = {} if self.record is None else columns_of(self.record)
        object.__setattr__(self, "columns", {column.name: column for column in self.own} | of_record)

    @property
    def insert(self) -> str:
        """The statement that inserts one row."""
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({', '.join('?' * len(self.columns))})"

    @property
    def create(self) -> list[str]:
        """The statements that make the table."""
        parts = ", ".join([*(column.sql for column in self.columns.values()), *self.constraints])
        index = [] if self.index is None else [f"CREATE INDEX {self.name}_index ON {self.name} ({self.index})"]
        return [f"CREATE TABLE {self.name} ({parts})", *index]


_RUN_ID, _ROW_ID, _CELL, _DEVICE = Column("run_id", str), Column("row_id", int), Column("cell", int), Column("device", str)
_TABLES = {
    table.name: table
    for table in (
        _Table("meta", own=(Column("schema_version", int),)),
        _Table(
            "machines", own=(Column("machine_id", str), Column("fingerprint", str)), constraints=("PRIMARY KEY (machine_id)",)
        ),
        _Table("runs", Run, constraints=("PRIMARY KEY (run_id)",)),
        _Table("rows", Row, (_ROW_ID, _CELL), ("PRIMARY KEY (row_id)", "UNIQUE (run_id, cell, backend)")),
        _Table("samples", RawSample, (_ROW_ID,), ("FOREIGN KEY (row_id) REFERENCES rows",), index="row_id"),
        _Table(
            "controls", RawSample, (_RUN_ID, _CELL, _DEVICE), ("FOREIGN KEY (run_id) REFERENCES runs",), index="run_id, cell"
        ),
        _Table("peaks", Peak, constraints=("PRIMARY KEY (machine_id, device, threads, kind)",)),
        _Table("verdicts", SuiteVerdict),
        _Table("mutation_scores", MutationScore),
    )
}

_HINTS = {
    "disappeared": "has disappeared: it was moved or deleted while it was in use",
    "readonly": "cannot be written: make it writable, or name another with --store",
    "locked": "is in use by another process (waited {wait:.0f} s): try again when that has finished",
    "full": "has no room: the disk is full; what was finished is kept",
    "not a database": "is not a store: it is no SQLite file; --store FILE names another",
    "malformed": "is damaged; --store FILE names another",
    "unable to open": "cannot be opened: does its folder exist, and may you write there?",
}
"""A part of SQLite's message -> what is wrong with the file, and what to do."""


class Store(AbstractContextManager["Store"]):
    """An open store. Nothing is written before the first change, so a store can be read where it cannot be written.

    Raises CallError, one line, for a file that is not a store, and for whatever goes wrong with it later.
    """

    def __init__(self, path: Path | str, *, create: bool = False) -> None:
        if not isinstance(path, (str, Path)):
            raise CallError(f"a store is the path of a file, not {path!r}")
        self.path = path = Path(path)
        if not path.exists() and not create:
            raise CallError(f"no store at {path}; `lstm-parity sweep` makes one, --store FILE names another")
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise CallError(f"{path} is {what}, and no store; --store takes a file")
        if str(path) == ":memory:":  # SQLite would keep it nowhere
            raise CallError("a store in memory is lost when the command ends; --store takes a file")
        self._columns: dict[str, set[str]] = {}  # those that the file has, by table
        with self._plain_errors():
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._open(create)
            except BaseException:
                self._db.close()
                raise

    def _open(self, create: bool) -> None:
        self._db.execute("PRAGMA foreign_keys = ON")
        self._read_schema()
        if not self._columns and create:
            with self.transaction():
                pass
            return
        if not self._columns and not self.path.stat().st_size:
            raise CallError(f"{self.path} is empty: nothing has been written to it; `lstm-parity sweep` makes a store")
        if "meta" not in self._columns:
            raise CallError(f"{self.path} is a SQLite file but not a store of lstm-parity; --store FILE names another")
        (found,) = self._db.execute("SELECT schema_version FROM meta").fetchone() or (None,)
        if found not in range(1, SCHEMA_VERSION + 1):
            raise CallError(
                f"{self.path} has schema version {found}, this lstm-parity reads and writes version {SCHEMA_VERSION}; "
                "use the lstm-parity that wrote it, or --store with a new file"
            )
        if create:  # a sweep writes: better an error now than after the first cell
            with self.transaction():
                self._db.execute("UPDATE meta SET schema_version = schema_version")

    def _read_schema(self) -> None:
        query = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        self._columns = {}
        for table, column in self._db.execute(query):
            self._columns.setdefault(table, set()).add(column)

    def _add_missing(self) -> None:
        """Add the tables and columns that the file lacks: all of them in a new file, some in one of an earlier version."""
        if all(set(table.columns) <= self._columns.get(name, set()) for name, table in _TABLES.items()):
            return
        self._read_schema()  # another process may have been first
        for name, table in _TABLES.items():
            if name not in self._columns:
                for statement in table.create:
                    self._db.execute(statement)
            for column in table.columns.keys() - self._columns.get(name, table.columns.keys()):
                self._db.execute(f"ALTER TABLE {name} ADD COLUMN {table.columns[column].sql}")
        self._db.execute("DELETE FROM meta")
        self._db.execute("INSERT INTO meta VALUES (?)", (SCHEMA_VERSION,))
        self._read_schema()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """SQLite's errors as one line that says how to fix them."""
        try:
            yield
        except (sqlite3.Error, OSError) as raised:  # pandas raises an OSError of its own from SQLite's
            error = raised if isinstance(raised, sqlite3.Error) else raised.__cause__
            if not isinstance(error, sqlite3.Error):
                raise
            text = str(error) if self.path.exists() or "readonly" not in str(error) else "disappeared"
            hint = next((hint for part, hint in _HINTS.items() if part in text), "cannot be used: {text}")
            raise CallError(f"{self.path} {hint.format(wait=BUSY_SECONDS, text=text)}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything that is written within, or nothing. A store of an earlier version gets what it lacks."""
        before = self._columns
        with self._plain_errors():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._add_missing()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._columns = before
                raise

    def _select(self, table: str, names: Iterable[str] | None = None) -> str:
        """SELECT ... FROM the table; NULL for a column that a file of an earlier version lacks."""
        there = self._columns[table]
        chosen = [name if name in there else f"NULL AS {name}" for name in names or _TABLES[table].columns]
        return f"SELECT {', '.join(chosen)} FROM {table}"

    def add_run(self, run: Run) -> None:
        """Store a run that begins."""
        with self.transaction():
            self._db.execute("INSERT OR IGNORE INTO machines VALUES (?, ?)", (run.machine_id, run.fingerprint))
            self._db.execute(_TABLES["runs"].insert, values_of(run))

    def finish_run(self, run_id: str, finished_at: str | None, summary: dict[str, Any]) -> None:
        """Store how a run ended; finished_at None: it was interrupted."""
        with self.transaction():
            values = (finished_at, json.dumps(summary), run_id)
            self._db.execute("UPDATE runs SET finished_at = ?, summary = ? WHERE run_id = ?", values)

    def _query(self, query: str, *values: Any) -> list[Any]:
        with self._plain_errors():
            return self._db.execute(query, values).fetchall()

    def runs(self, condition: str = "", *values: Any) -> list[Run]:
        """Runs in the order of writing, the newest first, as a clock may be set back. condition: WHERE and what follows it."""
        return [Run(*found) for found in self._query(f"{self._select('runs')} {condition} ORDER BY rowid DESC", *values)]

    def newest_run(self, definition_hash: str, machine_id: str | None = None) -> Run | None:
        """The newest run of that definition, on that machine: a run is not continued on another machine."""
        found = self.runs("WHERE definition_hash = ? AND machine_id = coalesce(?, machine_id)", definition_hash, machine_id)
        return found[0] if found else None

    def finished_cells(self, run_id: str) -> set[int]:
        """The cells of a run that are in the store."""
        return {cell for (cell,) in self._query("SELECT DISTINCT cell FROM rows WHERE run_id = ?", run_id)}

    def statuses(self, run_id: str) -> dict[str, int]:
        """How many rows of a run have each status."""
        return dict(self._query("SELECT status, count(*) FROM rows WHERE run_id = ? GROUP BY status", run_id))

    def add_cell(
        self,
        cell: int,
        results: Iterable[tuple[Row, Iterable[RawSample]]],
        controls: Mapping[str, Iterable[RawSample]] = MappingProxyType({}),
    ) -> None:
        """Store all rows and samples of one cell, in one transaction. Where two processes resume one run, the first counts.

        controls: the samples of the control workload, by the kind of device that they ran on.
        """
        with self.transaction():
            for number, (row, samples) in enumerate(results):
                if number == 0:
                    if not self._db.execute("SELECT 1 FROM runs WHERE run_id = ?", (row.run_id,)).fetchone():
                        raise CallError(
                            f"run {row.run_id} was deleted from {self.path} while it was measured; nothing more is stored"
                        )
                    if self._db.execute("SELECT 1 FROM rows WHERE run_id = ? AND cell = ?", (row.run_id, cell)).fetchone():
                        return
                    for device, of_device in controls.items():
                        self._add_samples("controls", (row.run_id, cell, device), of_device)
                cursor = self._db.execute(_TABLES["rows"].insert, (None, cell, *values_of(row)))
                self._add_samples("samples", (cursor.lastrowid,), samples)

    def _add_samples(self, table: str, own: tuple[Any, ...], samples: Iterable[RawSample]) -> None:
        self._db.executemany(_TABLES[table].insert, [(*own, *values_of(sample)) for sample in samples])

    def set_floors(self, run_id: str, floor: Callable[[int, str, str], float | None]) -> None:
        """Set floor_s of every row of a run that has a device: floor(cell, backend, device)."""
        with self.transaction():
            found = self._query(
                "SELECT row_id, cell, backend, device FROM rows WHERE run_id = ? AND device IS NOT NULL", run_id
            )
            floors = [(floor(cell, backend, device), row_id) for row_id, cell, backend, device in found]
            self._db.executemany("UPDATE rows SET floor_s = ? WHERE row_id = ?", floors)

    def peaks(self, machine_id: str, threads: int) -> dict[tuple[str, str], float]:
        """The best ever measured on that machine with that many threads: (device, kind) -> value, see Peak."""
        query = "SELECT device, kind, value FROM peaks WHERE machine_id = ? AND threads = ?"
        return {(device, kind): value for device, kind, value in self._query(query, machine_id, threads)}

    def add_peaks(self, machine_id: str, threads: int, peaks: dict[tuple[str, str], float]) -> None:
        """Store peaks where they are better than those that are there."""
        with self.transaction():
            for (device, kind), value in peaks.items():
                better = f"{'min' if kind in MIN_IS_BEST else 'max'}(value, excluded.value)"
                self._db.execute(
                    f"{_TABLES['peaks'].insert} ON CONFLICT DO UPDATE SET value = {better}",
                    values_of(Peak(machine_id, device, threads, kind, value)),
                )

    def add_verdicts(self, verdicts: Iterable[SuiteVerdict]) -> None:
        """Store verdicts of the property suite."""
        self._insert("verdicts", verdicts)

    def add_mutation_score(self, score: MutationScore) -> None:
        """Store a score of the property suite."""
        self._insert("mutation_scores", [score])

    def _insert(self, table: str, records: Iterable[Any]) -> None:
        with self.transaction():
            self._db.executemany(_TABLES[table].insert, map(values_of, records))

    @property
    def rows(self) -> pd.DataFrame:
        """The result rows of all runs, in the columns COLUMNS and their dtypes. Nothing is written."""
        return self._frame("rows", "ORDER BY row_id", columns=COLUMNS)

    def rows_of(self, run_id: str) -> pd.DataFrame:
        """The rows of a run, as `rows` has them."""
        return self._frame("rows", "WHERE run_id = ? ORDER BY row_id", (run_id,), COLUMNS)

    def frames(self) -> Frames:
        """Everything as tables."""
        return Frames(**{field.name: self._frame(field.name, "ORDER BY rowid") for field in fields(Frames)})

    def _frame(self, table: str, rest: str, values: tuple[Any, ...] = (), columns: Iterable[str] | None = None) -> pd.DataFrame:
        import pandas as pd

        columns = tuple(columns or _TABLES[table].columns)
        dtypes = {name: _TABLES[table].columns[name].dtype for name in columns}
        if table not in self._columns:
            return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in dtypes.items()})
        # in chunks: the driver's rows of Python numbers take ten times the memory of a table's columns
        query = f"{self._select(table, columns)} {rest}"
        with self._plain_errors():
            chunks = list(pd.read_sql_query(query, self._db, params=values, chunksize=CHUNK_ROWS, dtype=dtypes))
        return pd.concat(chunks, ignore_index=True)

    def find_run(self, text: str) -> Run:
        """The run of that id or name, the only one whose id begins so, or the newest. Raises CallError that lists the runs."""
        runs = self.runs()
        if not runs:
            raise CallError(f"{self.path} has no runs; `lstm-parity sweep` makes one")
        if text == NEWEST:
            return runs[0]
        found = [run for run in runs if text in (run.run_id, run.name)]
        found = found or [run for run in runs if text and run.run_id.startswith(text)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(f"{run.run_id} ({run.name})" if run.name else run.run_id for run in (found or runs)[:MAX_LISTED])
        more = f" and {len(found or runs) - MAX_LISTED} more" if len(found or runs) > MAX_LISTED else ""
        if found:
            raise CallError(f"{text!r} is the beginning of {len(found)} runs: {listed}{more}; give more of the id")
        near = get_close_matches(text, [name for run in runs for name in (run.name, run.run_id) if name], n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise CallError(f"no run {text!r} in {self.path}; {guess}there: {listed}{more}")

    def newest_finished(self) -> Run:
        """The finished run that was started last. Raises CallError where there is none."""
        found = [run for run in self.runs() if run.finished_at is not None]
        if not found:
            raise CallError(f"{self.path} holds no finished run; `lstm-parity sweep` makes one")
        return found[0]

    def name_run(self, run_id: str, name: str | None) -> None:
        """Name a run; None removes its name."""
        with self.transaction():
            self._db.execute("UPDATE runs SET name = ? WHERE run_id = ?", (name, run_id))

    def copy_run(self, run: Run, target: Path) -> None:
        """Add the run with its rows, samples, controls, machine and peaks to the store `target`, which must exist."""
        of_run, of_machine = ("run_id = ?", run.run_id), ("machine_id = ?", run.machine_id)
        of_rows = ("row_id IN (SELECT row_id FROM main.rows WHERE run_id = ?)", run.run_id)
        tables = {"machines": of_machine, "runs": of_run, "rows": of_run, "samples": of_rows, "controls": of_run}
        self._query("ATTACH ? AS target", str(target))
        try:
            with self.transaction():
                for table, (which, value) in (tables | {"peaks": of_machine}).items():
                    columns = ", ".join(_TABLES[table].columns)
                    copy = f"INSERT INTO target.{table} ({columns}) SELECT {columns} FROM main.{table} WHERE {which}"
                    self._db.execute(copy, (value,))
        finally:
            self._query("DETACH target")

    def delete_runs(self, run_ids: Iterable[str]) -> None:
        """Delete these runs with their rows, samples and controls: all of them, or none. `shrink` makes the file smaller."""
        with self.transaction():
            for run_id in run_ids:
                self._db.execute("DELETE FROM samples WHERE row_id IN (SELECT row_id FROM rows WHERE run_id = ?)", (run_id,))
                for table in ("controls", "rows", "runs"):
                    self._db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))

    def shrink(self) -> None:
        """Give the space of what was deleted back to the file system. Raises CallError where another process uses the store."""
        self._query("VACUUM")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __del__(self) -> None:
        # _db is missing where __init__ has failed; a connection is closed by the thread that opened it
        with suppress(AttributeError, sqlite3.Error):
            self._db.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
