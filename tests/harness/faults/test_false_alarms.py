"""The command that looks for false alarms continues where it was interrupted, and counts what it tried before."""

import json
import sys

from lstm_parity.harness.commands import false_alarms


def test_a_run_is_continued(tmp_path, monkeypatch, capsys):
    state = tmp_path / "tried.jsonl"
    given = []

    def run(examples, alarm=""):
        def in_this_process(function, units, waiting):
            for unit in units:
                given.append(unit)
                yield unit, (10, alarm)

        monkeypatch.setattr(false_alarms, "run_in_parallel", in_this_process)
        monkeypatch.setattr(sys, "argv", ["false_alarms", "--examples", str(examples), "--state", str(state)])
        return false_alarms.main(), capsys.readouterr().out

    assert run(25)[0] == run(25)[0] == 0
    assert len(given) == 3
    code, said = run(40, alarm="T=1: why")
    assert code == 1
    assert len(given) == len(set(given)) == 4
    assert "ALARM" in said
    assert "1 alarms in 40 examples" in said
    assert [json.loads(line)["unit"] for line in state.read_text().splitlines()] == [vars(unit) for unit in given]
    assert run(40)[0] == 1
    assert len(given) == 4
