"""`plan` and `emulate` on the command line: what they print, and what they say of bad input."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lstm_parity
from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.gpu import compile_report
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.backends.interface import UnavailableError
from lstm_parity.harness.cli import main

unavailable = Emulator.unavailable()
needs_compiler = pytest.mark.skipif(unavailable is not None, reason=f"UNVERIFIED: {unavailable}")


def copy_of_the_kernels(folder: Path, file: str, old: str, new: str) -> Path:
    copy = folder / "kernels"
    shutil.copytree(KERNELS, copy)
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    return copy


def test_plan_says_kernel_grid_shared_memory_and_why(capsys):
    assert main(["plan", "--hidden-size", "512", "--batch-size", "16", "--sequence-length", "50", "--arch", "sm_90a"]) == 0
    said = capsys.readouterr().out
    assert "T=50 B=16 I=512 H=512 L=1 D=1, float32, on H100 SXM (sm_90a: 132 multiprocessors" in said
    assert "forward, for each layer: persistent" in said
    assert "backward, for each layer: persistent" in said
    assert re.search(r"why +U stays in shared memory for all 50 steps: \d+ hidden units", said)
    assert re.search(r"a step +33.6 MFLOP, [\d.]+ MiB", said)
    assert re.search(r"persistent_forward +\d+ x \d+ x 1 +256 +[\d.]+ KiB +(\d+ a thread, 0 bytes spilled|UNVERIFIED)", said)


def test_plan_without_the_compiler_says_so_and_plans(capsys, monkeypatch):
    def missing():
        raise UnavailableError("CuPy is not installed", "get it")

    monkeypatch.setattr(compile_report, "_nvrtc", missing)
    assert main(["plan", "--mode", "inference", "--path", "stepwise"]) == 0
    said = capsys.readouterr().out
    assert "UNVERIFIED" in said
    assert "registers  CuPy is not installed; get it" in said
    assert "backward" not in said
    assert "why        asked for" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "--arch", "sm_90"], "--arch: 'sm_90' is unknown: did you mean sm_90a? Known: sm_80, sm_86, sm_89, sm_90a"),
        (["plan", "--hidden-size", "4", "--proj-size", "4"], "proj_size must be below hidden_size"),
        (["plan", "--precision", "int8"], "precision must be one of float64"),
        (
            ["plan", "--hidden-size", "4096", "--path", "persistent"],
            "the persistent kernel cannot take this problem: however U",
        ),
        (["plan", "--sequence-length", "2000000000", "--batch-size", "9"], "the kernels count rows and columns in 32 bits"),
        (["emulate", "--schedule", "sideways"], "--schedule: 'sideways' is unknown; known: in-order, reversed, random"),
        (["emulate", "--kernels", "nowhere"], "--kernels: nowhere is not a folder"),
        (["emulate", "--kernels", "."], "lacks cell.cuh, copies.cu"),
        (["emulate", "--hidden-size", "1000000"], "GiB, this machine has"),
        (["emulate", "--sequence-length", "100000000"], "GiB, this machine has"),
    ],
)
def test_what_cannot_be_carried_out_is_one_line_and_exit_2(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@needs_compiler
def test_emulate_without_findings(capsys):
    assert main(["emulate", "--schedules", "5", "--ragged", "--bidirectional"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"no findings; the result is right, 0\.\d+ of the allowed error \(5 schedules, \d+ launches", said)
    assert (
        "persistent_forward: 2 slices of units, 2 slices of the batch, 2 directions, 64 threads a block, no tensor cores"
        in said
    )
    assert "not run by this problem: stepwise_backward.cu, stepwise_forward.cu" in said


@needs_compiler
def test_emulate_with_a_kernel_that_crashes_says_where(tmp_path, capsys):
    crash = "at_step(step); { volatile int* nowhere = nullptr; *nowhere = 1; }"
    kernels = copy_of_the_kernels(tmp_path, "stepwise_forward.cu", "at_step(step);", crash)
    assert main(["emulate", "--kernels", str(kernels), "--path", "stepwise"]) == 1
    said = capsys.readouterr().out
    assert "error: the process ended with signal SIGSEGV in cells_forward (stepwise_forward.cu) under schedule in-order" in said


@needs_compiler
def test_emulate_of_a_kernel_that_never_ends_can_be_interrupted(tmp_path):
    running = tmp_path / "running"
    hang = f'at_step(step); mkdir("{running}", 0700); for (;;) pause();'
    kernels = copy_of_the_kernels(tmp_path, "stepwise_forward.cu", "at_step(step);", hang)
    source = kernels / "stepwise_forward.cu"
    source.write_text("#include <sys/stat.h>\n#include <unistd.h>\n" + source.read_text())
    command = [sys.executable, "-m", "lstm_parity", "emulate", "--kernels", str(kernels), "--path", "stepwise"]
    paths = os.pathsep.join([str(Path(lstm_parity.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 90
    while not running.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "error: interrupted in cells_forward (stepwise_forward.cu)" in said


@needs_compiler
def test_emulate_prints_findings_as_a_compiler_prints_errors(tmp_path, capsys):
    kernels = copy_of_the_kernels(tmp_path, "exchange.cuh", "__syncthreads();", "")
    assert main(["emulate", "--kernels", str(kernels), "--path", "persistent", "--schedules", "2"]) == 1
    said = capsys.readouterr().out
    place = r"\(block \(\d+, \d+, \d+\), thread \d+, step \d+\)"
    assert re.search(
        rf"^\S+\.cuh?:\d+: error: race: .* {place} \[persistent_forward, schedule in-order, seed 0", said, re.MULTILINE
    ), said
    assert re.search(rf"^\S+\.cuh?:\d+: note: the other access is this (read|write) {place}$", said, re.MULTILINE), said
    assert re.search(r"\d+ findings?; no schedule gave a result \(2 schedules", said)
    assert "of y_data" in said


@needs_compiler
def test_emulate_sees_a_wrong_result_that_no_detector_sees(tmp_path, capsys):
    kernels = copy_of_the_kernels(tmp_path, "cell.cuh", "a.i = sigmoid(z.i);", "a.i = sigmoid(z.f);")
    command = ["emulate", "--kernels", str(kernels), "--schedules", "2", "--path", "stepwise", "--mode", "inference"]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "error: the result is wrong: y is first wrong at step 0" in said
    assert "no findings" in said


@needs_compiler
def test_emulate_with_a_kernel_that_does_not_compile(tmp_path, capsys):
    kernels = copy_of_the_kernels(tmp_path, "gemm.cu", "real sum[COLUMNS] = {};", "reel sum[COLUMNS] = {};")
    assert main(["emulate", "--kernels", str(kernels)]) == 2
    error = capsys.readouterr().err
    assert "gemm.cu" in error
    assert "reel" in error


def test_emulate_without_a_compiler_says_how_to_get_one(tmp_path):
    """In a process of its own: this one may have compiled the kernels already."""
    environment = {**os.environ, "PATH": str(tmp_path), "HOME": str(tmp_path)}
    hide = "import sys; sys.modules['ziglang'] = None; from lstm_parity.harness.cli import main; sys.exit(main(['emulate']))"
    done = subprocess.run(
        [sys.executable, "-c", hide], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert re.match(r"lstm-parity emulate: no C\+\+ compiler.*ziglang", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
