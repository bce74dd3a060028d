"""`verify --store` and `mutants --store`: what is stored for the report, and which stores are refused."""

import json
from pathlib import Path

import pytest

from lstm_parity.harness.cli import main
from lstm_parity.harness.faults.score import FaultResult, Score
from lstm_parity.harness.machine.host import fingerprint, machine_id
from lstm_parity.harness.store import Store
from lstm_parity.harness.verify.results import BackendResult, CheckResult

CHECKS = (
    CheckResult("form", "PASS", examples=12),
    CheckResult("causal", "FAIL", "why", 3, "counterexample-causal.py", ("a hint",)),
)
FAIL = BackendResult("mine.py:Mine", "FAIL", "", {"float32": 23.987}, CHECKS)
INTERRUPTED = BackendResult("other.py:Other", "UNVERIFIED", "", {}, CHECKS[:1], interrupted=True)


def frames(name="s.sqlite"):
    with Store(Path(name)) as store:
        return store.frames()


def set_results(monkeypatch, *results):
    def verified(*_):
        for result in results:
            yield result
            if result.interrupted:
                raise KeyboardInterrupt

    monkeypatch.setattr("lstm_parity.harness.commands.verify.verify_all", verified)


def test_all_of_a_verdict_is_stored(in_folder, monkeypatch):
    set_results(monkeypatch, FAIL)
    for seed in ("7", "8"):
        arguments = ["verify", "mine.py:Mine", "--examples", "3", "--seed", seed, "--store", "s.sqlite", "--json", "v.json"]
        assert main(arguments) == 1
    first, second = frames().verdicts.to_dict("records")
    assert (first["seed"], second["seed"]) == (7, 8)
    assert first["finished_at"] <= second["finished_at"]
    assert (first["backend"], first["verdict"], first["examples"]) == ("mine.py:Mine", "FAIL", 3)
    assert first["machine_id"] == machine_id(fingerprint())
    (written,) = json.loads(Path("v.json").read_text())["backends"]
    assert json.loads(first["checks"]) == written["checks"]
    assert written["checks"][1] == {
        "check": "causal",
        "status": "FAIL",
        "reason": "why",
        "hints": ["a hint"],
        "examples": 3,
        "counterexample": "counterexample-causal.py",
    }
    assert json.loads(first["effective_bits"]) == written["effective_bits"] == {"float32": 23.99}


def test_an_interrupted_run_is_not_stored(in_folder, monkeypatch):
    set_results(monkeypatch, FAIL, INTERRUPTED)
    assert main(["verify", "mine.py:Mine", "other.py:Other", "--store", "s.sqlite", "--json", "v.json"]) == 130
    assert frames().verdicts["backend"].tolist() == ["mine.py:Mine"]
    assert len(json.loads(Path("v.json").read_text())["backends"]) == 2


def test_a_missing_backend_is_stored_as_unverified(in_folder):
    assert main(["verify", "nowhere.py:Thing", "--store", "s.sqlite"]) == 2
    (verdict,) = frames().verdicts.to_dict("records")
    assert (verdict["backend"], verdict["verdict"]) == ("nowhere.py:Thing", "UNVERIFIED")
    checks = json.loads(verdict["checks"])
    assert {check["status"] for check in checks} == {"UNVERIFIED"}
    assert all("no such file" in check["reason"] for check in checks)


def test_nothing_is_stored_without_the_option(in_folder, monkeypatch):
    set_results(monkeypatch, FAIL)
    assert main(["verify", "mine.py:Mine"]) == 1
    assert not list(in_folder.glob("*.sqlite"))


@pytest.mark.parametrize("command", [["verify", "numpy"], ["mutants"]])
def test_what_is_no_store_is_refused_before_anything_runs(in_folder, refused, command, monkeypatch):
    ran = []
    monkeypatch.setattr("lstm_parity.harness.commands.verify.verify_all", lambda *_: ran.append(1) or [])
    monkeypatch.setattr("lstm_parity.harness.commands.mutants.measure_score", lambda: ran.append(1))
    Path("text").write_text("this is a diary, not a database, and it is long enough to be read as one\n" * 20)
    assert "is no SQLite file" in refused([*command, "--store", "text"])
    assert "does its folder exist" in refused([*command, "--store", "nowhere/s.sqlite"])
    assert "is a folder" in refused([*command, "--store", "."])
    assert not ran


def test_some_of_the_checks_are_no_verdict(in_folder, refused):
    assert "leave --only out" in refused(["verify", "numpy", "--only", "form", "--store", "s.sqlite"])
    assert not Path("s.sqlite").exists()


def test_a_score_is_stored(in_folder, monkeypatch):
    killed = FaultResult("a", "gates", "What a does.", "", ("form",), ("form",), "form: why")
    survivor = FaultResult("b", "gates", "What b does.", "", (), ("form",), "")
    alarm = FaultResult("c", "right", "What c does.", "", ("form",), ("form",), "form: why")
    score = Score((killed, survivor), (alarm,))
    monkeypatch.setattr("lstm_parity.harness.commands.mutants.measure_score", lambda: score)
    assert main(["mutants", "--store", "s.sqlite"]) == 1
    (kept,) = frames().mutation_scores.to_dict("records")
    assert (kept["total"], kept["killed"]) == (2, 1)
    assert json.loads(kept["survivors"]) == ["b"]
    assert json.loads(kept["false_alarms"]) == ["c"]
    assert kept["git_commit"] == fingerprint()["git_commit"]
