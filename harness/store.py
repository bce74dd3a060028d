"""The store: result rows, raw samples, runs, machines, measured peaks and verdicts in one SQLite file.

One transaction a cell: either all of its rows and samples are there, or none. Nothing else passes from the harness to the
reports. Every run is kept until `lstm-parity runs delete` takes it out.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from .errors import CallError
from .records import COLUMNS, FLAGS, LEAST_IS_BEST, Frames, MutationScore, RawSample, Row, Run, Verdict

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
BUSY_SECONDS = 10.0
"""How long to wait for another process that is writing."""
ROWS_AT_A_TIME = 100_000
NEWEST = "newest"
"""The word for the run that was started last."""
FEW = 6
"""So many runs are listed where one was asked for that is not there."""

_TYPES = {"int": "INTEGER", "bool": "INTEGER", "float": "REAL"}
_ROW_COLUMNS = ", ".join(f"{f.name} {_TYPES.get(str(f.type).partition(' ')[0], 'TEXT')}" for f in fields(Row))
_SCHEMA = f"""
CREATE TABLE meta (schema_version INTEGER NOT NULL);
CREATE TABLE machines (machine_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL);
CREATE TABLE runs (run_id TEXT PRIMARY KEY, definition TEXT NOT NULL, definition_hash TEXT NOT NULL, machine_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL, command TEXT NOT NULL, seed INTEGER NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
    summary TEXT, name TEXT);
CREATE TABLE rows (row_id INTEGER PRIMARY KEY, cell INTEGER NOT NULL, {_ROW_COLUMNS}, UNIQUE (run_id, cell, backend));
CREATE TABLE samples (row_id INTEGER NOT NULL REFERENCES rows, block INTEGER NOT NULL, position INTEGER NOT NULL,
    calls INTEGER NOT NULL, wall_s REAL NOT NULL, device_s REAL, foreign_load REAL, used INTEGER NOT NULL, gpu_clock_mhz REAL,
    gpu_throttle INTEGER);
CREATE INDEX samples_of_row ON samples (row_id);
CREATE TABLE peaks (machine_id TEXT NOT NULL, device TEXT NOT NULL, threads INTEGER NOT NULL, kind TEXT NOT NULL,
    value REAL NOT NULL, PRIMARY KEY (machine_id, device, threads, kind));
"""
_ADDED_IN_2 = """
CREATE TABLE controls (run_id TEXT NOT NULL REFERENCES runs, cell INTEGER NOT NULL, device TEXT NOT NULL,
    block INTEGER NOT NULL, position INTEGER NOT NULL, calls INTEGER NOT NULL, wall_s REAL NOT NULL, device_s REAL,
    foreign_load REAL, used INTEGER NOT NULL, gpu_clock_mhz REAL, gpu_throttle INTEGER);
CREATE INDEX controls_of_cell ON controls (run_id, cell);
CREATE TABLE verdicts (machine_id TEXT NOT NULL, backend TEXT NOT NULL, verdict TEXT NOT NULL, checks TEXT NOT NULL,
    effective_bits TEXT NOT NULL, examples INTEGER NOT NULL, seed INTEGER NOT NULL, git_commit TEXT, finished_at TEXT NOT NULL);
CREATE TABLE mutation_scores (total INTEGER NOT NULL, killed INTEGER NOT NULL, survivors TEXT NOT NULL,
    false_alarms TEXT NOT NULL, git_commit TEXT, finished_at TEXT NOT NULL);
"""
_FROM_1_TO_2 = """
ALTER TABLE runs ADD COLUMN name TEXT;
ALTER TABLE rows ADD COLUMN peak_device_memory_bytes INTEGER;
ALTER TABLE samples ADD COLUMN gpu_clock_mhz REAL;
ALTER TABLE samples ADD COLUMN gpu_throttle INTEGER;
"""


def _values(record: Any) -> tuple[Any, ...]:
    """The fields of a dataclass in order, as they are; `asdict` would copy each of them."""
    return tuple(getattr(record, field.name) for field in fields(record))


def _with_flags(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """The table, with these columns true or false; SQLite has numbers alone."""
    for name in names:
        table[name] = table[name].astype(bool)
    return table


class Store:
    """An open store. Raises CallError, one line, for a file that cannot be one."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if not path.exists() and not create:
            raise CallError(f"no store at {path}; `lstm-parity sweep` makes one, --store FILE names another")
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise CallError(f"{path} is {what}, and no store; --store takes a file")
        if str(path) == ":memory:":  # SQLite would keep it nowhere
            raise CallError("a store in memory is lost when the command ends; --store takes a file")
        with self._said_plainly():
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._open(create)
            except BaseException:
                self._db.close()
                raise

    def _open(self, create: bool) -> None:
        self._db.execute("PRAGMA foreign_keys = ON")
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables and create:
            self._make_tables()
            return
        if not tables and not self.path.stat().st_size:
            raise CallError(f"{self.path} is empty: nothing has been written to it; `lstm-parity sweep` makes a store")
        if "meta" not in tables:
            raise CallError(f"{self.path} is a SQLite file but not a store of lstm-parity; --store FILE names another")
        (found,) = self._db.execute("SELECT schema_version FROM meta").fetchone() or (None,)
        if found == 1:
            self._migrate()
        elif found != SCHEMA_VERSION:
            raise CallError(
                f"{self.path} has schema version {found}, this lstm-parity reads and writes version {SCHEMA_VERSION}; "
                "use the lstm-parity that wrote it, or --store with a new file"
            )
        if create:  # a sweep writes; better known now than after the first cell
            with self.transaction():
                self._db.execute("UPDATE meta SET schema_version = schema_version")

    def _make_tables(self) -> None:
        with self.transaction():
            if self._db.execute("SELECT 1 FROM sqlite_master").fetchone():  # another process was first
                return
            for statement in (_SCHEMA + _ADDED_IN_2).split(";"):
                self._db.execute(statement)
            self._db.execute("INSERT INTO meta VALUES (?)", (SCHEMA_VERSION,))

    def _migrate(self) -> None:
        """From version 1: nothing that is there changes."""
        with self.transaction():
            if self._db.execute("SELECT schema_version FROM meta").fetchone() == (SCHEMA_VERSION,):  # another process was first
                return
            for statement in (_FROM_1_TO_2 + _ADDED_IN_2).split(";"):
                self._db.execute(statement)
            self._db.execute("UPDATE meta SET schema_version = ?", (SCHEMA_VERSION,))

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        """SQLite's errors as one line that says how to mend them."""
        try:
            yield
        except sqlite3.Error as error:
            text = str(error) if self.path.exists() or "readonly" not in str(error) else "has gone"
            hints = {
                "has gone": "has gone: it was moved or deleted while it was in use",
                "readonly": "cannot be written: make it writable, or name another with --store",
                "locked": f"is in use by another process (waited {BUSY_SECONDS:.0f} s): try again when that has finished",
                "full": "has no room: the disk is full; what was finished is kept",
                "not a database": "is not a store: it is no SQLite file; --store FILE names another",
                "malformed": "is damaged; --store FILE names another",
                "unable to open": "cannot be opened: does its folder exist, and may you write there?",
            }
            said = next((hint for word, hint in hints.items() if word in text), f"cannot be used: {text}")
            raise CallError(f"{self.path} {said}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within, or nothing."""
        with self._said_plainly():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def add_run(self, run: Run) -> None:
        """Write a run that begins."""
        values = _values(run)
        with self.transaction():
            self._db.execute("INSERT OR IGNORE INTO machines VALUES (?, ?)", (run.machine_id, run.fingerprint))
            self._db.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(values))})", values)

    def finish_run(self, run_id: str, finished_at: str | None, summary: dict[str, Any]) -> None:
        """Write how a run ended; finished_at None: it was interrupted."""
        with self.transaction():
            self._db.execute(
                "UPDATE runs SET finished_at = ?, summary = ? WHERE run_id = ?", (finished_at, json.dumps(summary), run_id)
            )

    def newest_run(self, definition_hash: str, machine_id: str | None = None) -> Run | None:
        """The newest run of that definition, on that machine: another machine's times do not go on with its own."""
        with self._said_plainly():
            found = self._db.execute(
                "SELECT * FROM runs WHERE definition_hash = ? AND machine_id = coalesce(?, machine_id) "
                "ORDER BY rowid DESC LIMIT 1",  # in the order of writing: a clock may be set back
                (definition_hash, machine_id),
            ).fetchone()
        return None if found is None else Run(*found)

    def finished_cells(self, run_id: str) -> set[int]:
        """The cells of a run that are in the store."""
        with self._said_plainly():
            return {cell for (cell,) in self._db.execute("SELECT DISTINCT cell FROM rows WHERE run_id = ?", (run_id,))}

    def statuses(self, run_id: str) -> dict[str, int]:
        """How many rows of a run have each status."""
        with self._said_plainly():
            return dict(
                self._db.execute("SELECT status, count(*) FROM rows WHERE run_id = ? GROUP BY status", (run_id,)).fetchall()
            )

    def add_cell(
        self,
        cell: int,
        results: Iterable[tuple[Row, Iterable[RawSample]]],
        controls: Mapping[str, Iterable[RawSample]] = MappingProxyType({}),
    ) -> None:
        """Write all rows and samples of one cell, in one transaction. Two runs may go on with one run: the first one counts.

        controls: the samples of the harness's fixed workload, by the kind of device that they ran on.
        """
        insert_row = f"INSERT INTO rows (cell, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
        with self.transaction():
            for number, (row, samples) in enumerate(results):
                if number == 0 and not self._db.execute("SELECT 1 FROM runs WHERE run_id = ?", (row.run_id,)).fetchone():
                    raise CallError(f"run {row.run_id} was deleted from {self.path} while it went on; nothing more is written")
                if number == 0 and self._holds(row.run_id, cell):
                    return
                cursor = self._db.execute(insert_row, (cell, *_values(row)))
                self._add_samples("samples", (cursor.lastrowid,), samples)
                if number == 0:
                    for device, of_device in controls.items():
                        self._add_samples("controls", (row.run_id, cell, device), of_device)

    def set_floors(self, run_id: str, floor: Callable[[int, str, str], float | None]) -> None:
        """Write floor_s of every row of a run that ran somewhere: floor(cell, backend, device)."""
        with self.transaction():
            found = self._db.execute(
                "SELECT row_id, cell, backend, device FROM rows WHERE run_id = ? AND device IS NOT NULL", (run_id,)
            ).fetchall()
            floors = [(floor(cell, backend, device), row_id) for row_id, cell, backend, device in found]
            self._db.executemany("UPDATE rows SET floor_s = ? WHERE row_id = ?", floors)

    def _add_samples(self, table: str, owner: tuple[Any, ...], samples: Iterable[RawSample]) -> None:
        values = [(*owner, *_values(sample)) for sample in samples]
        if values:
            self._db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)

    def _holds(self, run_id: str, cell: int) -> bool:
        found = self._db.execute("SELECT 1 FROM rows WHERE run_id = ? AND cell = ? LIMIT 1", (run_id, cell))
        return found.fetchone() is not None

    def peaks(self, machine_id: str, threads: int) -> dict[tuple[str, str], float]:
        """The best ever measured on that machine with that many threads: (device, kind) -> operations or bytes a second, or
        seconds for those of LEAST_IS_BEST.
        """
        with self._said_plainly():
            found = self._db.execute(
                "SELECT device, kind, value FROM peaks WHERE machine_id = ? AND threads = ?", (machine_id, threads)
            ).fetchall()
        return {(device, kind): value for device, kind, value in found}

    def add_peaks(self, machine_id: str, threads: int, peaks: dict[tuple[str, str], float]) -> None:
        """Keep what was measured, where it is better than what is there."""
        with self.transaction():
            for (device, kind), value in peaks.items():
                better = f"{'min' if kind in LEAST_IS_BEST else 'max'}(value, excluded.value)"
                self._db.execute(
                    f"INSERT INTO peaks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = {better}",
                    (machine_id, device, threads, kind, value),
                )

    def add_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Write what the property suite said."""
        with self.transaction():
            self._db.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [_values(v) for v in verdicts])

    def add_mutation_score(self, score: MutationScore) -> None:
        """Write the property suite's own score."""
        with self.transaction():
            self._db.execute("INSERT INTO mutation_scores VALUES (?, ?, ?, ?, ?, ?)", _values(score))

    def frames(self) -> Frames:
        """Everything as tables."""
        with self._said_plainly():
            frames = Frames(
                rows=self._table(f"SELECT row_id, cell, {', '.join(COLUMNS)} FROM rows ORDER BY row_id"),
                samples=self._table("SELECT * FROM samples"),
                controls=self._table("SELECT * FROM controls"),
                runs=self._table("SELECT * FROM runs ORDER BY rowid"),
                peaks=self._table("SELECT * FROM peaks"),
                verdicts=self._table("SELECT * FROM verdicts ORDER BY rowid"),
                mutation_scores=self._table("SELECT * FROM mutation_scores ORDER BY rowid"),
            )
        _with_flags(frames.rows, FLAGS)
        for samples in (frames.samples, frames.controls):
            _with_flags(samples, ("used",))
        return frames

    def _table(self, query: str, values: tuple[Any, ...] = ()) -> pd.DataFrame:
        import pandas as pd

        # a part at a time: the driver's rows of Python numbers take ten times the memory of a table's columns
        parts = list(pd.read_sql_query(query, self._db, params=values, chunksize=ROWS_AT_A_TIME))
        return pd.concat(parts, ignore_index=True)

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        with self._said_plainly():
            return [Run(*found) for found in self._db.execute("SELECT * FROM runs ORDER BY rowid DESC")]

    def find_run(self, text: str) -> Run:
        """The run of that id or name, the only one whose id begins so, or the newest. Raises CallError, with what is there."""
        runs = self.runs()
        if not runs:
            raise CallError(f"{self.path} holds no runs; `lstm-parity sweep` makes one")
        if text == NEWEST:
            return runs[0]
        found = [run for run in runs if text in (run.run_id, run.name)]
        found = found or [run for run in runs if text and run.run_id.startswith(text)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(f"{run.run_id} ({run.name})" if run.name else run.run_id for run in (found or runs)[:FEW])
        more = f" and {len(found or runs) - FEW} more" if len(found or runs) > FEW else ""
        if found:
            raise CallError(f"{text!r} is the beginning of {len(found)} runs: {listed}{more}; give more of the id")
        near = get_close_matches(text, [word for run in runs for word in (run.name, run.run_id) if word], n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise CallError(f"no run {text!r} in {self.path}; {guess}there: {listed}{more}")

    def newest_finished(self) -> Run:
        """The finished run that was started last. Raises CallError where there is none."""
        for run in self.runs():
            if run.finished_at is not None:
                return run
        raise CallError(f"{self.path} holds no finished run; `lstm-parity sweep` makes one")

    def name_run(self, run_id: str, name: str | None) -> None:
        """Call a run so; None takes its name away."""
        with self.transaction():
            self._db.execute("UPDATE runs SET name = ? WHERE run_id = ?", (name, run_id))

    def rows_of(self, run_id: str) -> pd.DataFrame:
        """The rows of a run, in the columns of every table."""
        with self._said_plainly():
            query = f"SELECT {', '.join(COLUMNS)} FROM rows WHERE run_id = ? ORDER BY row_id"
            return _with_flags(self._table(query, (run_id,)), FLAGS)

    def copy_run(self, run: Run, target: Path) -> None:
        """Add the run with its rows, samples, controls, machine and peaks to the store `target`, made by this lstm-parity."""
        of_run, of_machine = ("run_id = ?", run.run_id), ("machine_id = ?", run.machine_id)
        of_rows = ("row_id IN (SELECT row_id FROM main.rows WHERE run_id = ?)", run.run_id)
        tables = {"machines": of_machine, "runs": of_run, "rows": of_run, "samples": of_rows, "controls": of_run}
        with self._said_plainly():
            self._db.execute("ATTACH ? AS target", (str(target),))
        try:
            with self.transaction():
                for table, (which, value) in (tables | {"peaks": of_machine}).items():
                    # a store that was taken over from an earlier version has its columns in another order
                    columns = ", ".join(name for _, name, *_ in self._db.execute(f"PRAGMA target.table_info({table})"))
                    copy = f"INSERT INTO target.{table} ({columns}) SELECT {columns} FROM main.{table} WHERE {which}"
                    self._db.execute(copy, (value,))
        finally:
            with self._said_plainly():
                self._db.execute("DETACH target")

    def delete_runs(self, run_ids: Iterable[str]) -> None:
        """Take these runs out, with their rows, samples and controls: all of them, or none. `shrink` makes the file smaller."""
        with self.transaction():
            for run_id in run_ids:
                self._db.execute("DELETE FROM samples WHERE row_id IN (SELECT row_id FROM rows WHERE run_id = ?)", (run_id,))
                for table in ("controls", "rows", "runs"):
                    self._db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))

    def shrink(self) -> None:
        """Give the room of what was deleted back to the file system. Raises CallError where another process is at the store."""
        with self._said_plainly():
            self._db.execute("VACUUM")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
