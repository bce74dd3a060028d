"""What the READMEs show is true: their commands, backends, files and figures."""

import argparse
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lstm_parity.harness.compare.duel
import lstm_parity.harness.sweep.run
from lstm_parity.backends import LSTMSpec, load_backend
from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.harness.cli import COMMANDS, build_parser, main
from lstm_parity.harness.faults.kernels.catalogue import FAULTS
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.problems.values import spread_inputs, spread_weights
from lstm_parity.harness.records import STATUSES, Cell, Row, Run
from lstm_parity.harness.store import Store
from lstm_parity.harness.sweep.grid import AXES, cells_of, load_sweep, preset_names
from lstm_parity.harness.verify.checks import CHECKS

ROOT = Path(__file__).resolve().parent.parent
FILES = [ROOT / "README.md", *(file for top in ("backends", "harness", "reports") for file in (ROOT / top).rglob("README.md"))]
READMES = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES}
TEXT = "\n\n".join(READMES.values())


def code_blocks(text):
    """The indented and fenced blocks of a Markdown text, without their indentation."""
    blocks, fenced, previous = [[]], False, ""
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
            blocks.append([])
        elif fenced or (line.startswith("    ") and (blocks[-1] or not previous)) or (not line and blocks[-1]):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
        previous = line
    return [textwrap.dedent("\n".join(lines)).strip("\n") for lines in blocks if lines]


def block(first, last):
    """The lines from `first` to `last` of the code block that has them."""
    for found in code_blocks(TEXT):
        if part := re.search(rf"^ *{re.escape(first)}.*\n(.*\n)*? *{re.escape(last)}.*", found, re.MULTILINE):
            return textwrap.dedent(part.group(0)) + "\n"
    raise AssertionError(f"no README has a code block from {first!r} to {last!r}")


def commands():
    """The calls of lstm-parity in code blocks, without comments."""
    lines = [line for text in READMES.values() for found in code_blocks(text) for line in found.splitlines()]
    calls = [re.sub(r"^(\$ |.* && )", "", line).strip() for line in lines]
    calls = [re.sub(r"^(.venv/bin/)?(python\d? -m lstm_parity|lstm-parity) ", "lstm-parity ", line) for line in calls]
    return list(dict.fromkeys(shlex.join(shlex.split(c, comments=True)) for c in calls if c.startswith("lstm-parity ")))


@pytest.mark.parametrize("swap", [False, True])
def test_the_backend_is_short_and_right_and_wrong_with_two_gates_swapped(tmp_path, swap):
    source = block("import numpy as np", "return y, LSTMState(h[None], c[None])")
    assert len(source.splitlines()) < 40
    if swap:
        swapped = source.replace("i, f, g, o = np.split", "f, i, g, o = np.split")
        assert swapped != source
        source = swapped
    (tmp_path / "my_lstm.py").write_text(source)
    spec = LSTMSpec(7, 13)
    rng = np.random.default_rng(0)
    weights, inputs = spread_weights(spec, rng), spread_inputs(spec, 5, 3, rng)
    backend = load_backend(f"{tmp_path / 'my_lstm.py'}:MyLSTM")(spec, weights)
    y, last = backend.forward(inputs.x, inputs.state)
    assert Expected(spec, weights, inputs).judge(Results(y, last.h, last.c)).agrees is not swap


def test_the_guide_ends_with_pass_and_its_failure_is_what_verify_says(tmp_path, monkeypatch, capsys):
    source = block("import numpy as np", "return y, LSTMState(h[None], c[None])")
    monkeypatch.chdir(tmp_path)
    Path("my_lstm.py").write_text(source)
    assert main(["verify", "my_lstm.py:MyLSTM", "--examples", "1", "--seed", "1"]) == 0
    assert "my_lstm.py:MyLSTM: PASS" in capsys.readouterr().out
    Path("my_lstm.py").write_text(source.replace("i, f, g, o = np.split", "f, i, g, o = np.split"))
    assert main(["verify", "my_lstm.py:MyLSTM", "--only", "forward-float32", "--seed", "7"]) == 1
    said = capsys.readouterr().out
    shown = block("FAIL       forward-float32: the result of one layer", "run it: python counterexample-forward-float32.py")
    for line in shown.splitlines():
        assert line.strip() in said, said


def test_every_check_that_is_named_exists():
    names = {check.name for check in CHECKS}
    found = [r"--only ([a-z0-9-]+)", r'^ *([a-z0-9-]+) = "NaN', r'known_failures=\{"([a-z0-9-]+)"']
    assert {name for pattern in found for name in re.findall(pattern, TEXT, re.MULTILINE)} <= names


def test_every_command_that_is_shown_is_one():
    assert len(commands()) > 20
    for line in commands():
        build_parser().parse_args(shlex.split(line)[1:])  # where it cannot be: SystemExit, and one line says why


@pytest.mark.parametrize("name", READMES)
def test_what_is_named_in_a_sentence_exists(name):
    """Commands, tox environments, scripts and modules in code spans and blocks, and the targets of links."""
    text = READMES[name]
    spans = re.findall(r"`([^`\n]+)`", text) + [line.strip() for found in code_blocks(text) for line in found.splitlines()]
    environments = re.findall(r"^\[testenv:(\S+)\]", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    for span in spans:
        if found := re.match(r"(?:python -m lstm_parity|lstm-parity) ([a-z]+)", span):
            assert found[1] in COMMANDS, span
            options = set(re.findall(r" (--[a-z-]+)", span.partition("#")[0]))
            assert options <= options_of(found[1]), span
        for environment in re.findall(r"\btox -e ([\w,-]+)", span):
            known = set(environment.split(",")) <= {*environments, "py311", "py312", "py313", "py314"}
            assert known, span
        for path in re.findall(r"\b(?:tests|backends|harness|reports)/[\w/.-]+\.\w+", span):
            assert (ROOT / path).exists(), span
        for module in re.findall(r"python -m (lstm_parity\.[\w.]+)", span):
            assert importlib.util.find_spec(module) is not None, span
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert target.startswith("http") or (ROOT / name).parent.joinpath(target).exists(), target


def options_of(command):
    """The options that `lstm-parity COMMAND --help` lists, those of its actions included."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"lstm_parity.harness.commands.{command}").add_options(parser)
    parsers, found = [parser], {"--help"}
    for parser in parsers:
        found.update(parser._option_string_actions)
        parsers += [p for a in parser._actions if isinstance(a, argparse._SubParsersAction) for p in a.choices.values()]
    return found


@pytest.mark.parametrize("name", READMES)
def test_python_in_a_readme_compiles(name):
    for found in code_blocks(READMES[name]):
        if re.match(r"(import|from|class|def|@|with) ?\w", found):
            compile(re.sub(r"^lstm-parity .*", "", found, flags=re.MULTILINE), f"<a block of {name}>", "exec")


SIZES = "--sequence-length 2 --batch-size 2 --hidden-size 4 --input-size 3 --precision float32 --mode inference --budget 0.02"
NOT_RUN = {
    "calibrate": "takes hours",
    "mutants": "takes minutes; tests/harness/faults tries mutants one by one",
    "emulate": "compiles for longer than 5 s; tests/harness/commands/test_kernel_commands.py",
    "report": "takes longer than 5 s, and needs an extra; tests/reports",
    "identify": "needs a model file",
    "bisect": "takes minutes",
    "--weights": "needs a model file and an extra; tests/harness/sweep/test_sweep_weights.py",
    "@": "needs a repository with that revision; tests/harness/compare/test_commands.py",
    "cupy": "needs a GPU, or compiles for longer than 5 s",
    "torch": "needs an extra; the same command is run with other backends",
    "--list-checks": "tests/harness/verify/test_verify_cli.py",
}
"""Commands, options and parts of a backend's name that are parsed, but not run here, and why."""


def shape(line):
    """The command with its options: of commands that differ in values alone, one is run."""
    words = shlex.split(line)
    positional = ["value" for word in words[2:] if not word.startswith("--")] if words[1] != "runs" else words[2:]
    return (words[1], *sorted({w for w in words if w.startswith("--")}), *positional)


def runnable():
    lines = [line for line in commands() if not any(re.search(rf"(^|[ \w.]){re.escape(part)}", line) for part in NOT_RUN)]
    return list({shape(line): line for line in lines}.values())


RUN = Run("r1", json.dumps({"title": "t", "backends": ["numpy"], "cells": [{}], "baseline": "numpy"}), "hash", "machine",
          json.dumps({"cpu": "a processor"}), "sweep", 7, "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00")  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that commands of the READMEs name, in which a duel is short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lstm_parity.harness.sweep.run, "measure_peaks", lambda threads, cuda: {("none", "copy"): 1.0})
    monkeypatch.setattr(lstm_parity.harness.compare.duel, "measure_peaks", lambda threads, cuda: {})
    monkeypatch.setattr(lstm_parity.harness.compare.duel, "ROUNDS", 2)
    (tmp_path / "my_lstm.py").write_text(block("import numpy as np", "return y, LSTMState(h[None], c[None])"))
    (tmp_path / "known.toml").write_text('["my_lstm.py:MyLSTM"]\nrow-of-nan = "NaN spreads"\n')
    (tmp_path / "mine.toml").write_text(block('title = "narrow and wide"', 'launch = "call"'))
    for number, name in enumerate(("lstm-parity.sqlite", "main.sqlite")):
        run = replace(RUN, run_id=f"2026010{number + 1}T000000-aaaaaa", name="before-the-rewrite")
        with Store(tmp_path / name, create=True) as store:
            store.add_run(run)
            row = Row(run_id=run.run_id, backend="numpy", machine_id="machine", cell=Cell.of(), threads=1, seed=7,
                      status="PASSED", median_s=0.1, started_at=run.started_at)  # fmt: skip
            store.add_cell(0, [(row, [])], {})
    return tmp_path


@pytest.mark.parametrize("line", runnable())
def test_a_command_that_is_shown_runs_at_the_smallest_sizes(folder, capsys, line):
    words = shlex.split(line)[1:]
    match words[0]:
        case "sweep" if "--backend" not in words:
            words += [*SIZES.split(), "--backend", "numpy"]  # the preset's backends need an extra
        case "sweep" | "duel":
            words += SIZES.split()
        case "verify":
            words += ["--examples", "1", *(["--only", "row-alone"] if "--only" not in words else [])]
    assert main(words) in (0, 1), capsys.readouterr().err


def test_the_toml_file_loads_and_has_every_axis(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(block('title = "narrow and wide"', 'launch = "call"'))
    (grid,) = load_sweep(str(path)).grids
    assert len(cells_of([grid], {})) == 16
    assert set(grid) == set(AXES)


def test_every_status_of_a_row_is_explained():
    assert all(re.search(rf"^\|.*\b{status}\b", READMES["harness/sweep/README.md"], re.MULTILINE) for status in STATUSES)


def test_every_dishonest_backend_is_named_and_every_named_one_exists():
    folders = {"": ROOT / "tests" / "harness" / "sweep" / "dishonest", "gpu/": ROOT / "tests" / "gpu" / "dishonest"}
    files = {mark + path.stem for mark, folder in folders.items() for path in folder.glob("*.py") if path.name != "cheating.py"}
    table = re.search(r"^\| in scope.*?\n\n", READMES["harness/sweep/README.md"], re.MULTILINE | re.DOTALL).group()
    named = [name for row in table.strip().splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[2])]
    assert len(named) == len(set(named))
    assert set(named) == files


def test_every_preset_is_named():
    assert all(f"`{name}`" in TEXT for name in preset_names())


def test_a_barrier_taken_out_of_a_copy_of_the_kernels_is_found_as_shown(tmp_path, capsys):
    if unavailable := Emulator.unavailable():
        pytest.skip(f"UNVERIFIED: {unavailable}")
    copy = tmp_path / "mine"
    shutil.copytree(KERNELS, copy)
    text = (copy / "exchange.cuh").read_text()
    (copy / "exchange.cuh").write_text(text.replace("__syncthreads();", "", 1))
    assert main(["emulate", "--kernels", str(copy), "--path", "persistent"]) == 1
    said = capsys.readouterr().out
    shown = set(re.findall(r"^ *(persistent_forward\.cu:\d+: .*)$", TEXT, re.MULTILINE))
    assert len(shown) == 2
    for line in shown:
        start, _, place = line.partition(" (block")
        assert any(one.startswith(start) and place in one for one in said.splitlines()), said


def test_the_number_of_planted_faults_is_true():
    text = " ".join(TEXT.split())
    assert f"plants {len(FAULTS)} such faults" in text
    published = (ROOT / "reports" / "published" / "amd-epyc-2-cores" / "kernel-faults.md").read_text(encoding="utf-8")
    assert all(f"| {fault.name} | {fault.file} |" in published for fault in FAULTS)
