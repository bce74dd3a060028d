"""`lstm-parity runs`: what is listed, and what becomes of a run that is named, exported or deleted."""

import json
import sqlite3
from dataclasses import replace

import pandas as pd
import pytest

import lstm_parity.harness.store
from lstm_parity.harness.cli import main
from lstm_parity.harness.errors import CallError
from lstm_parity.harness.records import COLUMNS, Cell, RawSample, Row, Run, dtypes_of
from lstm_parity.harness.store import Store

OLD, NEW, OTHER = "20260101T000000-aaaaaa", "20260102T000000-bbbbbb", "20260103T000000-cccccc"
SAMPLES = [RawSample(0, 0, 1, 0.4, None, 0.0, True), RawSample(1, 0, 1, 0.6, None, None, False)]
DEFINITION = json.dumps({"title": "tiny", "backends": ["numpy", "other"], "cells": [{}, {}]})
FINGERPRINT = json.dumps({"cpu": "a processor", "gpu": ["a GPU"], "git_commit": "0123456789abcdef"})
TABLES = ("machines", "runs", "rows", "samples", "controls", "peaks")


def run_of(run_id, finished=True):
    started = f"2026-01-0{run_id[7]}T00:00:00+00:00"
    finished_at = started.replace("T00:00", "T01:02") if finished else None
    return Run(run_id, DEFINITION, "hash", f"machine of {run_id}", FINGERPRINT, "sweep", 7, started, finished_at)


def row(run_id, **changes):
    base = Row(
        run_id=run_id,
        backend="numpy",
        machine_id="machine",
        cell=Cell(),
        threads=2,
        seed=7,
        status="PASSED",
        samples=2,
        median_s=0.1 + 0.2,
        started_at="2026-01-01T00:00:01+00:00",
    )
    return replace(base, **changes)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A store with three runs; the newest has one cell of two and was not finished."""
    monkeypatch.chdir(tmp_path)
    found = tmp_path / "lstm-parity.sqlite"
    with Store(found, create=True) as store:
        for run_id in (OLD, NEW, OTHER):
            store.add_run(run_of(run_id, finished=run_id != OTHER))
            store.add_peaks(f"machine of {run_id}", 2, {("cpu", "copy"): 5.0})
            for cell in range(1 if run_id == OTHER else 2):
                results = [(row(run_id), SAMPLES), (row(run_id, backend="other", status="CRASHED", median_s=None), [])]
                store.add_cell(cell, results, {"cpu": SAMPLES})
    return found


def contents(path):
    with sqlite3.connect(path) as db:
        found = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    db.close()
    return found


def said(capsys, *words):
    assert main(["runs", *words]) == 0
    return capsys.readouterr().out


def refused(capsys, *words):
    try:
        code = main(["runs", *words])
    except SystemExit as error:
        code = error.code
    err = capsys.readouterr().err
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    return err


def test_the_list(path, capsys):
    said(capsys, "name", OLD, "before")
    text = said(capsys)
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [OTHER, NEW, f"{OLD}  before"]
    newest, _, oldest = ([line.strip() for line in part.splitlines()] for part in text.replace("\n2", "\n\n2").split("\n\n"))
    assert newest[1:4] == [
        "tiny: numpy, other",
        "1 of 2 cells: 1 CRASHED, 1 PASSED",
        "2026-01-03 00:00:00 UTC to ...: not finished",
    ]
    assert oldest[2:] == [
        "2 of 2 cells: 2 CRASHED, 2 PASSED",
        "2026-01-01 00:00:00 UTC to 2026-01-01 01:02:00 UTC",
        f"machine machine of {OLD}, a processor, a GPU, commit 0123456789",
    ]


def test_the_list_for_programs(path, capsys):
    found = json.loads(said(capsys, "--json"))
    assert found["schema"] == 1
    newest = found["runs"][0]
    assert {name: newest[name] for name in ("run_id", "name", "finished_at", "cells", "cells_done", "backends")} == {
        "run_id": OTHER,
        "name": None,
        "finished_at": None,
        "cells": 2,
        "cells_done": 1,
        "backends": ["numpy", "other"],
    }
    assert newest["statuses"] == {"CRASHED": 1, "PASSED": 1}
    assert newest["git_commit"] == "0123456789abcdef"


def test_a_store_without_runs_is_listed_and_holds_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "no store at" in refused(capsys)
    Store(tmp_path / "lstm-parity.sqlite", create=True).close()
    assert "has no runs" in said(capsys)
    assert json.loads(said(capsys, "--json"))["runs"] == []
    assert "has no runs" in refused(capsys, "delete", "newest")


def test_a_run_is_found_by_its_id_the_beginning_of_it_its_name_and_its_age(path):
    with Store(path) as store:
        store.name_run(NEW, "after")
        assert [store.find_run(text).run_id for text in (OLD, "20260101", "after", "newest")] == [OLD, OLD, NEW, OTHER]
        with pytest.raises(CallError, match=f"'2026' is the beginning of 3 runs: {OTHER}, {NEW} .after., {OLD}; give more"):
            store.find_run("2026")
        for text in ("", "no such", OLD + "0", "aft"):
            with pytest.raises(CallError, match=f"no run {text!r} in .*; .*there: {OTHER}, {NEW} .after., {OLD}"):
                store.find_run(text)
        with pytest.raises(CallError, match=r"did you mean after\? there"):
            store.find_run("aftr")
        assert store.newest_finished().run_id == NEW


def test_the_newest_is_the_last_that_was_written_whatever_its_clock_said(path):
    with Store(path) as store:
        store.add_run(run_of("20260101T000009-eeeeee"))
        assert store.find_run("newest").run_id == "20260101T000009-eeeeee"
        store.delete_runs([OTHER])
        store.shrink()
        assert [run.run_id for run in store.runs()] == ["20260101T000009-eeeeee", NEW, OLD]


def test_a_long_list_of_runs_is_cut(path):
    with Store(path) as store:
        for k in range(10):
            store.add_run(run_of(f"2026010{k % 3 + 4}T00000{k}-dddddd"))
        with pytest.raises(CallError, match=r"and 7 more$"):
            store.find_run("nothing")


def test_naming(path, capsys):
    assert said(capsys, "name", "newest", "tuned") == f"run {OTHER} is called tuned\n"
    said(capsys, "name", "tuned", "tuned")  # its own name is not taken by another
    assert f"is the name of run {OTHER}" in refused(capsys, "name", OLD, "tuned")
    for name in (
        "",
        " ",
        " tuned",
        "two\nlines",
        "x" * 101,
        "newest",
        OLD,
        OLD[:5],
        "2",
        "20260101T",
        "20991231T000000-ffffff",
        "a#b",
    ):
        assert "is not a valid name" in refused(capsys, "name", OLD, name)
    for words in (["name", OLD], ["name", OLD, "b", "--clear"], ["--json", "name", OLD, "b"]):
        refused(capsys, *words)
    said(capsys, "name", "tuned", "--clear")
    said(capsys, "name", OLD, "1st try")
    assert "is called 2nd try, before 1st try" in said(capsys, "name", OLD, "2nd try")
    said(capsys, "name", OLD, "2nd try, 2.0")
    with Store(path) as store:
        assert {run.run_id: run.name for run in store.runs()} == {OTHER: None, NEW: None, OLD: "2nd try, 2.0"}


def test_a_store_may_be_named_before_and_after_the_word(path, capsys):
    other = path.rename(path.with_name("other.sqlite"))
    for words in (["--store", str(other), "name", OLD, "a"], ["name", OLD, "b", "--store", str(other)]):
        said(capsys, *words)
    assert "  b\n" in said(capsys, "--store", str(other))


@pytest.mark.parametrize("suffix", ["sqlite", "csv", "parquet"])
def test_what_is_exported_can_be_read(path, capsys, suffix):
    before, target = path.read_bytes(), path.with_name(f"out.{suffix}")
    assert said(capsys, "export", OLD, target.name) == f"out.{suffix}: run {OLD}, 4 rows\n"
    assert path.read_bytes() == before
    with Store(path) as store:
        expected = store.rows_of(OLD)
    if suffix == "sqlite":
        with Store(target) as store:
            found = store.frames().rows[list(COLUMNS)]
    else:
        found = pd.read_csv(target, dtype=dtypes_of(Row)) if suffix == "csv" else pd.read_parquet(target)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert expected["bias"].dtype == bool
    there = target.read_bytes()
    assert "already exists" in refused(capsys, "export", NEW, target.name)
    assert target.read_bytes() == there


def test_a_store_of_one_run_holds_all_of_it_and_nothing_else(path, capsys):
    said(capsys, "export", NEW, "one.sqlite")
    found, whole = contents("one.sqlite"), contents(path)
    rows = {values[0] for values in whole["rows"] if NEW in values}
    assert [values[0] for values in found["runs"]] == [NEW]
    assert len(rows) == 4
    for table, values in found.items():
        if table != "samples":
            assert values == [one for one in whole[table] if NEW in one or f"machine of {NEW}" in one]
    assert found["samples"] == [one for one in whole["samples"] if one[0] in rows]
    assert len(found["samples"]) == len(found["controls"]) == 4
    assert "1 of 2" not in said(capsys, "--store", "one.sqlite")


def test_a_run_of_a_store_that_was_taken_over_is_exported_column_by_column(path, capsys):
    with sqlite3.connect(path) as db:  # as a store of version 1, in which what version 2 added comes last
        db.execute("ALTER TABLE rows RENAME COLUMN peak_device_memory_bytes TO other")
        db.execute("ALTER TABLE rows ADD COLUMN peak_device_memory_bytes INTEGER")
        db.execute("UPDATE rows SET peak_device_memory_bytes = 77, reason = 'why'")
        db.execute("ALTER TABLE rows DROP COLUMN other")
    db.close()
    said(capsys, "export", NEW, "one.sqlite")
    with Store(path.with_name("one.sqlite")) as store:
        rows = store.rows_of(NEW)
    assert rows["peak_device_memory_bytes"].tolist() == [77] * 4
    assert rows["reason"].tolist() == ["why"] * 4


def test_an_export_that_cannot_be_written_leaves_nothing(path, capsys, monkeypatch):
    for name in ("out.txt", "out", "folder.d"):
        assert "ends in .sqlite" in refused(capsys, "export", OLD, name)
    assert "there is no folder nowhere" in refused(capsys, "export", OLD, "nowhere/out.csv")
    assert "no run 'x'" in refused(capsys, "export", "x", "out.csv")

    def full(*_, **__):
        raise OSError(28, "No space left on device", "out.csv")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert "No space left" in refused(capsys, "export", OLD, "out.csv")
    monkeypatch.setattr(Store, "copy_run", full)
    assert "No space left" in refused(capsys, "export", OLD, "out.sqlite")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_deleting(path, capsys):
    with Store(path) as store:
        store.add_cell(7, [(row(OLD), SAMPLES * 20_000)], {"cpu": SAMPLES})
        store.name_run(OLD, "before")
    whole, size = contents(path), path.stat().st_size
    assert "no run 'nothing'" in refused(capsys, "delete", "before", "nothing")
    assert contents(path) == whole
    assert f"run {OTHER} is not finished" in refused(capsys, "delete", "before", "newest")
    assert contents(path) == whole
    lines = said(capsys, "delete", "--unfinished", "before", "newest", OLD).splitlines()
    assert lines[:2] == [f"deleted run {OLD} (before), 5 rows", f"deleted run {OTHER}, 2 rows"]
    assert lines[2] == f"lstm-parity.sqlite: {size:,} bytes before, {path.stat().st_size:,} now"
    assert path.stat().st_size < size / 10
    left, rows = contents(path), {values[0] for values in whole["rows"] if NEW in values}
    for table in ("runs", "rows", "controls"):
        assert left[table] == [values for values in whole[table] if NEW in values]
    assert left["samples"] == [values for values in whole["samples"] if values[0] in rows]
    assert left["peaks"] == whole["peaks"]  # they are the machine's


def test_a_store_in_use_is_not_changed(path, capsys, monkeypatch):
    monkeypatch.setattr(lstm_parity.harness.store, "BUSY_SECONDS", 0.05)
    before = contents(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        for words in (["delete", OLD], ["name", OLD, "a"]):
            assert "in use by another process" in refused(capsys, *words)
        assert said(capsys).count("\n    tiny") == 3  # who only reads waits for nobody
    finally:
        other.close()
    assert contents(path) == before


def test_a_file_that_cannot_shrink_keeps_its_size(path, capsys, monkeypatch):
    def busy(_):
        raise CallError("it is in use")

    monkeypatch.setattr(Store, "shrink", busy)
    assert "the file keeps its size: it is in use" in said(capsys, "delete", OLD)
    assert OLD not in said(capsys)


def test_a_run_that_is_deleted_while_it_goes_on_gets_no_more_rows(path):
    with Store(path) as store:
        store.delete_runs([OTHER])
        with pytest.raises(CallError, match=f"run {OTHER} was deleted from"):
            store.add_cell(1, [(row(OTHER), SAMPLES)])
        assert OTHER not in store.frames().rows["run_id"].tolist()
