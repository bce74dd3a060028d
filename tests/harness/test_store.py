"""The store: all of a cell or nothing, and one plain line for whatever is wrong with the file."""

import sqlite3
from dataclasses import fields, replace

import pandas as pd
import pytest

import lstm_parity.harness.store
from lstm_parity.backends import LSTMSpec
from lstm_parity.harness.errors import CallError
from lstm_parity.harness.records import (
    CELL_COLUMNS,
    COLUMNS,
    Cell,
    Frames,
    MutationScore,
    RawSample,
    Row,
    Run,
    SuiteVerdict,
    dtypes_of,
)
from lstm_parity.harness.store import SCHEMA_VERSION, Store

RUN = Run("run-1", "{}", "hash", "machine", "{}", "lstm-parity sweep", 7, "2026-01-01T00:00:00+00:00")


def row(**changes):
    base = Row(
        run_id="run-1",
        backend="numpy",
        machine_id="machine",
        cell=Cell(),
        threads=2,
        seed=7,
        status="PASSED",
        samples=2,
        median_s=0.5,
        started_at="2026-01-01T00:00:01+00:00",
    )
    return replace(base, **changes)


SAMPLES = [RawSample(0, 0, 1, 0.4, None, 0.0, True), RawSample(1, 0, 1, 0.6, None, None, False)]


def test_what_goes_in_comes_out(tmp_path):
    with Store(tmp_path / "s.sqlite", create=True) as store:
        store.add_run(RUN)
        store.add_cell(3, [(row(), SAMPLES), (row(backend="other", status="CRASHED", reason="gone", median_s=None), [])])
        assert store.finished_cells("run-1") == {3}
        assert store.statuses("run-1") == {"PASSED": 1, "CRASHED": 1}
        assert store.newest_run("hash") == RUN
        assert store.newest_run("another") is None
    with Store(tmp_path / "s.sqlite") as store:
        frames = store.frames()
    rows, samples, runs = frames.rows, frames.samples, frames.runs
    assert list(rows.columns) == ["row_id", "cell", *COLUMNS]
    assert rows["backend"].tolist() == ["numpy", "other"]
    assert rows["bias"].dtype == bool
    assert samples["wall_s"].tolist() == [0.4, 0.6]
    assert samples["used"].tolist() == [True, False]
    assert runs["run_id"].tolist() == ["run-1"]
    assert pd.isna(rows["median_s"][1])


@pytest.mark.parametrize("status", ["WRONG", "UNSUPPORTED", "UNAVAILABLE", "CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "SUSPECT"])
def test_a_time_stands_only_beside_a_status_that_allows_it(status):
    with pytest.raises(ValueError, match="has no time"):
        row(status=status)
    with pytest.raises(ValueError, match="has a time"):
        row(median_s=None)


def test_a_cell_is_written_whole_or_not_at_all(tmp_path):
    with Store(tmp_path / "s.sqlite", create=True) as store:
        store.add_run(RUN)
        with pytest.raises(CallError):
            store.add_cell(0, [(row(), SAMPLES), (row(), SAMPLES)])  # the same backend twice
        assert store.finished_cells("run-1") == set()
        assert store.frames().samples.empty


def test_peaks_keep_the_best(tmp_path):
    with Store(tmp_path / "s.sqlite", create=True) as store:
        store.add_peaks("machine", 2, {("cpu", "copy"): 5.0, ("cpu", "gemm:float32"): 7.0})
        store.add_peaks("machine", 2, {("cpu", "copy"): 4.0, ("cpu", "gemm:float32"): 8.0})
        assert store.peaks("machine", 2) == {("cpu", "copy"): 5.0, ("cpu", "gemm:float32"): 8.0}
        assert store.peaks("machine", 1) == {}
        for seconds in (2e-6, 1e-6, 3e-6):  # of an exchange the shortest is the best
            store.add_peaks("machine", 2, {("gpu", "grid_exchange"): seconds, ("gpu", "copy"): seconds})
        assert store.peaks("machine", 2)["gpu", "grid_exchange"] == 1e-6
        assert store.peaks("machine", 2)["gpu", "copy"] == 3e-6


def open_store(path, create):
    Store(path, create=create).close()


@pytest.mark.parametrize("create", [False, True])
def test_files_that_are_no_store_are_refused_and_left_alone(tmp_path, create):
    text = tmp_path / "text.sqlite"
    text.write_text("this is a diary, not a database, and it is long enough to be read as one\n" * 20)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE people (name TEXT)")
    db.close()
    older = tmp_path / "older.sqlite"
    open_store(older, create=True)
    with sqlite3.connect(older) as db:
        db.execute("UPDATE meta SET schema_version = 99")
    db.close()
    for path, said in [
        (text, "is no SQLite file"),
        (other, "not a store of lstm-parity"),
        (older, f"has schema version 99, this lstm-parity reads and writes version {SCHEMA_VERSION}"),
        (tmp_path, "is a folder"),
    ]:
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(CallError) as caught:
            open_store(path, create)
        assert said in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert before is None or path.read_bytes() == before


def test_a_missing_store_is_not_made_by_reading(tmp_path):
    with pytest.raises(CallError, match="no store at"):
        open_store(tmp_path / "none.sqlite", create=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(CallError, match="does its folder exist"):
        open_store(tmp_path / "no" / "folder.sqlite", create=True)


def test_a_store_in_use_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr(lstm_parity.harness.store, "BUSY_SECONDS", 0.05)
    path = tmp_path / "s.sqlite"
    open_store(path, create=True)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(CallError, match="in use by another process"):
            open_store(path, create=True)
    finally:
        other.close()
    open_store(path, create=True)


def test_a_read_only_store_can_be_read_and_is_refused_for_writing(tmp_path):
    path = tmp_path / "s.sqlite"
    with Store(path, create=True) as store:
        store.add_run(RUN)
        store._db.execute("PRAGMA query_only = ON")  # what a read-only file amounts to, for root too
        with pytest.raises(CallError, match="cannot be written"):
            store.add_cell(0, [(row(), [])])


def test_a_full_disk_keeps_what_was_finished(tmp_path):
    path = tmp_path / "s.sqlite"
    with Store(path, create=True) as store:
        store.add_run(RUN)
        store.add_cell(0, [(row(), SAMPLES)])
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(CallError, match="the disk is full; what was finished is kept"):
            store.add_cell(1, [(row(), SAMPLES * 5000)])
        assert store.finished_cells("run-1") == {0}
    with Store(path) as store:
        assert len(store.frames().rows) == 1


CELL_1 = """precision TEXT, mode TEXT, input_size INTEGER, hidden_size INTEGER, num_layers INTEGER, bidirectional INTEGER,
    proj_size INTEGER, bias INTEGER, peephole INTEGER, lengths TEXT, sequence_length INTEGER, batch_size INTEGER, weights TEXT,
    cache TEXT, launch TEXT"""
VERSION_1 = f"""
CREATE TABLE meta (schema_version INTEGER NOT NULL);
INSERT INTO meta VALUES (1);
CREATE TABLE machines (machine_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL);
CREATE TABLE runs (run_id TEXT PRIMARY KEY, definition TEXT NOT NULL, definition_hash TEXT NOT NULL, machine_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL, command TEXT NOT NULL, seed INTEGER NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
    summary TEXT);
INSERT INTO runs VALUES ('run-1', '{{}}', 'hash', 'machine', '{{}}', 'lstm-parity sweep', 7,
    '2026-01-01T00:00:00+00:00', NULL, NULL);
CREATE TABLE rows (row_id INTEGER PRIMARY KEY, cell INTEGER NOT NULL, run_id TEXT, backend TEXT, device TEXT, machine_id TEXT,
    {CELL_1}, threads INTEGER, seed INTEGER, status TEXT, reason TEXT, samples INTEGER, median_s REAL, ci_low_s REAL,
    ci_high_s REAL, ratio_to_baseline REAL, ratio_ci_low REAL, ratio_ci_high REAL, setup_s REAL, transfer_s REAL,
    peak_memory_bytes INTEGER, flops INTEGER, bytes INTEGER, floor_s REAL, max_error REAL, error_bound_ratio REAL,
    effective_bits REAL, started_at TEXT, UNIQUE (run_id, cell, backend));
INSERT INTO rows (cell, run_id, backend, machine_id, precision, mode, input_size, hidden_size, num_layers, bidirectional,
    proj_size, bias, peephole, lengths, sequence_length, batch_size, weights, cache, launch, threads, seed, status, samples,
    median_s, started_at)
VALUES (3, 'run-1', 'numpy', 'machine', 'float32', 'inference', 256, 256, 1, 0, 0, 1, 0, 'full', 50, 16, 'spread', 'cold',
    'call', 2, 7, 'PASSED', 2, 0.5, '2026-01-01T00:00:01+00:00');
CREATE TABLE samples (row_id INTEGER NOT NULL REFERENCES rows, block INTEGER NOT NULL, position INTEGER NOT NULL,
    calls INTEGER NOT NULL, wall_s REAL NOT NULL, device_s REAL, foreign_load REAL, used INTEGER NOT NULL);
INSERT INTO samples VALUES (1, 0, 0, 1, 0.4, NULL, 0.0, 1), (1, 1, 0, 1, 0.6, NULL, NULL, 0);
CREATE TABLE peaks (machine_id TEXT NOT NULL, device TEXT NOT NULL, threads INTEGER NOT NULL, kind TEXT NOT NULL,
    value REAL NOT NULL, PRIMARY KEY (machine_id, device, threads, kind));
"""
"""A store as the program wrote it when the schema had version 1."""


def test_a_store_of_version_1_is_read_as_it_is_and_extended_by_the_first_change(tmp_path):
    path, today = tmp_path / "s.sqlite", tmp_path / "today.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_1)
    db.close()
    with Store(today, create=True) as store:
        store.add_run(RUN)
        store.add_cell(3, [(row(), SAMPLES)])
        expected = store.frames()
    before = path.read_bytes()
    with Store(path) as store:
        found, runs = store.frames(), store.runs()
    assert path.read_bytes() == before
    assert runs == [RUN]
    for name in (field.name for field in fields(Frames)):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), check_exact=True)
    with Store(path) as store:
        store.add_cell(4, [(row(), SAMPLES)], {"cpu": SAMPLES})
        store.name_run("run-1", "mine")
        assert store.frames().controls["wall_s"].tolist() == [0.4, 0.6]
    with Store(path) as store:
        assert len(store.rows) == 2
        assert store.find_run("mine") == replace(RUN, name="mine")


def test_rows_are_a_typed_table_and_reading_them_writes_nothing(tmp_path):
    path = tmp_path / "s.sqlite"
    with Store(path, create=True) as store:
        store.add_run(RUN)
        failed = row(backend="other", status="CRASHED", median_s=None)
        store.add_cell(3, [(row(reason="why", peak_memory_bytes=5), SAMPLES), (failed, [])])
    path.chmod(0o444)
    before = path.read_bytes()
    rows = Store(str(path)).rows
    assert path.read_bytes() == before
    assert {name: str(dtype) for name, dtype in rows.dtypes.items()} == dtypes_of(Row)
    assert rows["hidden_size"].tolist() == [256, 256]
    assert rows["bias"].tolist() == [True, True]
    assert rows["reason"].isna().tolist() == rows["peak_memory_bytes"].isna().tolist() == [False, True]
    assert Cell.of(**rows[list(CELL_COLUMNS)].astype(object).iloc[0]) == Cell()


def test_a_cell_comes_back_from_its_columns():
    cell = Cell.of(precision="tf32", hidden_size=9, proj_size=4, bias=False, mode="training", lengths="ragged", batch_size=3)
    assert cell.spec == LSTMSpec(256, 9, proj_size=4, bias=False, precision="tf32")
    assert Cell.of(**cell.columns()) == cell
    assert list(cell.columns()) == list(CELL_COLUMNS)
    assert set(CELL_COLUMNS) < set(COLUMNS)


def test_verdicts_and_scores_come_out_as_they_went_in(tmp_path):
    verdict = SuiteVerdict("machine", "numpy", "PASS", "[]", "{}", 20, 7, None, "2026-01-01T00:00:00+00:00")
    score = MutationScore(289, 288, '["one"]', "[]", "abc", "2026-01-01T00:00:00+00:00")
    with Store(tmp_path / "s.sqlite", create=True) as store:
        store.add_verdicts([verdict])
        store.add_mutation_score(score)
        frames = store.frames()
    assert SuiteVerdict(**frames.verdicts.iloc[0].to_dict()) == verdict
    assert MutationScore(**frames.mutation_scores.iloc[0].to_dict()) == score
