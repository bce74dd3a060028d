"""verify, sweep and duel as functions: what they take, give and refuse, the same as the commands."""

import inspect

import pytest

import lstm_parity
from lstm_parity import CallError, Store, duel, sweep, verify
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.api import duel as duel_module
from lstm_parity.harness.api import verify as verify_module
from lstm_parity.harness.cli import build_parser, main
from lstm_parity.harness.compare.decide import Pair, Side, change_of_rounds
from lstm_parity.harness.sweep import run as run_module
from lstm_parity.harness.verify.results import BackendResult, CheckResult

TINY = """\
backends = ["numpy"]
budget = 0.02
[[grid]]
sequence_length = 3
batch_size = 2
hidden_size = 4
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with tiny.toml; nothing measures the machine's peaks."""
    (tmp_path / "tiny.toml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "measure_peaks", lambda threads, cuda: {("none", "copy"): 1.0})
    return tmp_path


def test_every_public_name_is_there():
    assert sorted(lstm_parity.__all__) == dir(lstm_parity)
    for name in lstm_parity.__all__:
        assert getattr(lstm_parity, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'verfiy'"):
        lstm_parity.verfiy  # noqa: B018


@pytest.mark.parametrize(
    ("function", "words", "only_there", "only_here"),
    [
        (verify, ["verify", "x"], {"backends", "json", "list_checks"}, {"backend", "counterexamples", "progress"}),
        (sweep, ["sweep"], {"sweep"}, {"preset", "progress"}),
        (duel, ["duel", "x", "y"], {"sweep", "json", "markdown"}, {"preset", "progress"}),
    ],
    ids=["verify", "sweep", "duel"],
)
def test_keywords_are_the_commands_options(function, words, only_there, only_here):
    options = set(vars(build_parser().parse_args(words))) - {"command", "run", "version"}
    assert options - only_there == set(inspect.signature(function).parameters) - only_here


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: verify("numpy", only="forward-float31"), ["verify", "numpy", "--only", "forward-float31"]),
        (lambda: verify("numpy", only="form", store="s.sqlite"), ["verify", "numpy", "--only", "form", "--store", "s.sqlite"]),
        (lambda: verify("numpy", weights="none.pt"), ["verify", "numpy", "--weights", "none.pt"]),
        (lambda: verify("numpy", known_failures="none.toml"), ["verify", "numpy", "--known-failures", "none.toml"]),
        (lambda: sweep("smok"), ["sweep", "smok"]),
        (lambda: sweep("tiny.toml", batch_size=0), ["sweep", "tiny.toml", "--batch-size", "0"]),
        (lambda: sweep("tiny.toml", precision=["float31"]), ["sweep", "tiny.toml", "--precision", "float31"]),
        (lambda: sweep("tiny.toml", threads=10**6), ["sweep", "tiny.toml", "--threads", "1000000"]),
        (lambda: sweep("tiny.toml", backend="nunpy"), ["sweep", "tiny.toml", "--backend", "nunpy"]),
        (lambda: sweep("tiny.toml", weights="none.pt"), ["sweep", "tiny.toml", "--weights", "none.pt"]),
        (lambda: duel("numpy", "numpy@", "tiny.toml"), ["duel", "numpy", "numpy@", "tiny.toml"]),
    ],
)
def test_an_error_is_the_commands_line(call, words, folder, capsys):
    assert main(words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(CallError) as raised:
        call()
    assert f"lstm-parity {words[0]}: {raised.value}" == line
    assert capsys.readouterr().out == ""


def test_verify_gives_what_the_command_prints(folder, capsys):
    result = verify(NumpyLSTM, only=["form", "lengths-full"], examples=1, seed=5, known_failures={"form": "a reason"})
    assert (result.backend, result.verdict, result.seed, result.ok) == ("numpy", "FAIL", 5, False)
    assert [check.check for check in result.checks] == ["form", "lengths-full"]
    assert result.failures == (result.check("form"),)
    assert "listed as a known failure (a reason)" in result.check("form").reason
    with pytest.raises(KeyError):
        result.check("row-alone")
    assert capsys.readouterr() == ("", "")
    (folder / "known.toml").write_text('[numpy]\nform = "a reason"\n')
    words = ["verify", "numpy", "--only", "form", "--only", "lengths-full", "--examples", "1", "--seed", "5"]
    assert main([*words, "--known-failures", "known.toml"]) == 1
    assert capsys.readouterr().out == f"{result}\n"


def test_verify_of_what_cannot_be_found_is_unverified(folder):
    result = verify("nunpy", only="form")
    assert (result.verdict, result.ok) == ("UNVERIFIED", False)
    assert repr(result).startswith("<VerifyResult nunpy: UNVERIFIED: unknown backend 'nunpy': did you mean numpy? ")


def test_verify_writes_nothing_where_that_is_asked(folder):
    class Wrong(NumpyLSTM):
        def forward(self, x, state, lengths=None, training=False):
            return super().forward(x, state, lengths, training)[0], state

    result = verify(Wrong, only="forward-float32", examples=1, counterexamples=None)
    assert result.verdict == "FAIL"
    assert [path.name for path in folder.iterdir()] == ["tiny.toml"]


def test_ctrl_c_is_passed_on(folder, monkeypatch):
    stopped = BackendResult("numpy", "UNVERIFIED", "", {}, (CheckResult("form", "UNVERIFIED"),), interrupted=True)
    monkeypatch.setattr(verify_module, "verify_backend", lambda *_: stopped)
    with pytest.raises(KeyboardInterrupt):
        verify("numpy", only="form")


def test_an_unknown_known_failure_is_refused():
    with pytest.raises(CallError, match=r"^known_failures: there is no check 'nope'; .*--list-checks. lists them$"):
        verify("numpy", known_failures={"nope": "x"})


def local(factor):
    class Local(NumpyLSTM):
        scale = factor

    return Local


def test_a_sweep_has_rows_and_goes_on_with_the_same_class_only(folder, capfd):
    mine = local(1)
    first = sweep("tiny.toml", backend=["numpy", mine], store="s.sqlite", resume=True, progress=False)
    assert capfd.readouterr() == ("", "")
    assert first.ok
    assert sum(first.statuses.values()) == 2
    assert list(first.rows["backend"]) == ["numpy", "__main__:Local"]
    assert str(first).splitlines()[0].endswith(f"; run {first.run_id} in s.sqlite")
    again = sweep("tiny.toml", backend=["numpy", mine], store="s.sqlite", resume=True, progress=False)
    assert (again.run_id, again.nothing_to_do) == (first.run_id, True)
    other = sweep("tiny.toml", backend=["numpy", local(2)], store="s.sqlite", resume=True, progress=False)
    assert other.run_id != first.run_id
    with Store(folder / "s.sqlite") as store:
        assert set(store.rows["run_id"]) == {first.run_id, other.run_id}
        commands = {run.command for run in store.runs()}
    backends = "('numpy', '__main__:Local')"
    assert commands == {f"lstm_parity.sweep('tiny.toml', backend={backends}, store='s.sqlite', resume=True)"}


@pytest.mark.parametrize(("ratio", "verdict", "code"), [(1.1, "SLOWER", 1), (1.0, "SAME", 0)])
def test_a_duel_decides_as_the_command_does(folder, monkeypatch, capsys, ratio, verdict, code):
    def measured(definition, launches, progress):
        side, pairs = Side("PASSED", None, 1e-3), []
        for cell, factor in zip(definition.cells, (1.0, ratio), strict=True):
            change = change_of_rounds([factor * (1 + 1e-4 * k) for k in range(8)])
            pairs.append(Pair(cell, list(launches)[1], side, side, change))
        return pairs

    monkeypatch.setattr(duel_module, "run_duel", measured)
    result = duel("numpy", NumpyLSTM, "tiny.toml", sequence_length=[2, 3], budget=0.5, threads=1)
    assert ([pair.verdict for pair in result.pairs], result.ok) == (["SAME", verdict], not code)
    assert repr(result).startswith("<DuelResult duel: numpy (again) over numpy, ")
    assert [pair.pair.cell.sequence_length for pair in result.pairs] == [2, 3]
    assert capsys.readouterr() == ("", "")
    words = ["--sequence-length", "2,3", "--budget", "0.5", "--threads", "1"]
    assert main(["duel", "numpy", "numpy", "tiny.toml", *words]) == code

    def without_times(text):
        return [line for line in text.splitlines() if " UTC" not in line]

    assert without_times(capsys.readouterr().out) == without_times(str(result))
    with pytest.raises(CallError, match=r"^threshold 2: it must be between 0 and 1"):
        duel("numpy", "numpy", threshold=2)
