"""Peaks: the exchange between blocks, on the emulator and on doubles; and what is kept when measuring fails half-way."""

import shutil
import sys
from dataclasses import replace
from multiprocessing import Pipe

import numpy as np
import pytest

from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.emulator.findings import EmulationError
from lstm_parity.backends.cupy_raw.emulator.machine import EmulatedMachine
from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule
from lstm_parity.backends.cupy_raw.plan.device import EMULATED
from lstm_parity.backends.cupy_raw.source import gpu_source
from lstm_parity.harness.records import MIN_IS_BEST
from lstm_parity.harness.sweep import peaks
from lstm_parity.harness.sweep.peaks import (
    FEW,
    KIND,
    MANY,
    ExchangeError,
    assembled,
    exchange,
    exchange_launch,
    keep_best,
    latency,
)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    if unavailable := Emulator.unavailable():
        pytest.skip(f"UNVERIFIED: {unavailable}")
    return assembled(tmp_path_factory.mktemp("exchange"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_block_sees_what_all_have_published_under_every_schedule(kernels, kind):
    machine = EmulatedMachine("float32", kernels, schedule=Schedule(kind, 5))
    missed = exchange(machine, 7, EMULATED.multiprocessors, checked=True)
    assert missed.tolist() == [0] * EMULATED.multiprocessors
    assert exchange(machine, 0, EMULATED.multiprocessors, checked=True).tolist() == [0] * EMULATED.multiprocessors


def test_one_block_alone_waits_for_nobody(kernels):
    alone = replace(EMULATED, multiprocessors=1)
    assert exchange(EmulatedMachine("float32", kernels, alone), 3, 1, checked=True).tolist() == [0]


FAULTS = {
    "one slot": ("k % 2", "0", "race"),
    "no wait": ("        others.wait<Size>(k);\n", "", "race"),
    "no publishing": ("        others.publish(k);\n", "", "deadlock"),
    "one too many": ("others.wait<Size>(k)", "others.wait<Size>(k + 1)", "deadlock"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_emulator_finds_what_is_wrong_with_it(kernels, tmp_path, fault):
    old, new, said = FAULTS[fault]
    copy = shutil.copytree(kernels, tmp_path / "copy")
    text = (copy / peaks.SOURCE.name).read_text()
    assert old in text
    (copy / peaks.SOURCE.name).write_text(text.replace(old, new))
    with pytest.raises(EmulationError, match=said):
        exchange(EmulatedMachine("float32", copy, schedule=Schedule("random", 1)), 5, EMULATED.multiprocessors, checked=True)


def test_a_gpu_s_compiler_finds_all_of_it_in_one_text(tmp_path):
    text = gpu_source(peaks.SOURCE.stem, assembled(tmp_path))
    assert "struct Exchange" in text
    assert '#include "' not in text
    assert not (peaks.KERNELS / peaks.SOURCE.name).exists()


class Double:
    """A machine whose launches take 5 us and 0.25 us an exchange and block, the first long one longer."""

    def __init__(self, missed=0):
        self.device, self.missed, self.launches, self.clock = replace(EMULATED, multiprocessors=3), missed, [], 0.0

    def zero_flags(self, count):
        return np.zeros(count, np.uint32)

    def launch(self, launch, arguments):
        flags, made, missed, exchanges, checked = arguments
        blocks = launch.grid[0]
        assert (len(flags), len(made), len(missed), flags.sum()) == (blocks, 2 * blocks, blocks, 0)
        first = exchanges == MANY and (exchanges, checked) not in self.launches
        self.launches.append((exchanges, checked))
        missed[-1] = self.missed * checked
        self.clock += 5e-6 + 0.25e-6 * blocks * exchanges + 1e-3 * first

    def timed(self, call):
        before = self.clock
        call()
        return self.clock - before


def test_what_a_launch_costs_besides_is_not_in_the_latency():
    double = Double()
    assert latency(double, double.timed, np.asarray) == pytest.approx(0.5e-6, rel=1e-9)  # between two of its three blocks
    assert double.launches[0] == (peaks.CHECKED, 1)
    assert set(double.launches) == {(peaks.CHECKED, 1), (FEW, 0), (MANY, 0)}


def test_a_device_whose_blocks_miss_something_has_no_latency():
    double = Double(missed=2)
    with pytest.raises(ExchangeError, match="2 values came too late"):
        latency(double, double.timed, np.asarray)


def test_more_exchanges_that_take_no_longer_are_none():
    with pytest.raises(ExchangeError, match=r"11000 exchanges between 3 blocks take 1 s, 1000 take 1 s"):
        latency(Double(), lambda _: 1.0, np.asarray)


def test_all_blocks_must_be_resident_and_each_multiprocessor_has_one():
    launch = exchange_launch(replace(EMULATED, multiprocessors=132, threads=256), 132)
    assert (launch.grid, launch.threads, launch.cooperative) == ((132, 1, 1), 256, True)
    assert KIND in MIN_IS_BEST


def refuses():
    raise RuntimeError("the device refuses")


class Sent:
    def __init__(self):
        self.sent = []

    def send(self, value):
        self.sent.append(value)


def test_a_peak_that_cannot_be_measured_costs_none_of_the_others(monkeypatch):
    monkeypatch.setattr(peaks, "_cpu_peaks", lambda threads: {("cpu", "copy"): float(threads)})
    monkeypatch.setattr(peaks, "_cuda_peaks", refuses)
    monkeypatch.setattr(peaks, "cuda_latency", lambda: {("gpu", KIND): 1e-6})
    with_cuda, without = Sent(), Sent()
    peaks._measure(with_cuda, 3, True)
    peaks._measure(without, 3, False)
    assert with_cuda.sent == [{("cpu", "copy"): 3.0}, {("gpu", KIND): 1e-6}]
    assert without.sent == [{("cpu", "copy"): 3.0}]


@pytest.mark.parametrize("hangs", [False, True])
def test_what_was_measured_before_the_process_failed_is_kept(monkeypatch, hangs):
    ours, theirs = Pipe()
    process, ended = object(), []
    theirs.send({("a", "copy"): 1.0})
    theirs.send({("b", "copy"): 2.0})
    if hangs:
        monkeypatch.setattr(peaks, "LIMIT_S", 0.05)
    else:
        theirs.close()
    monkeypatch.setattr(peaks, "spawn", lambda *_: (process, ours))
    monkeypatch.setattr(peaks, "end", ended.append)
    assert peaks.measure_peaks(1, cuda=True) == {("a", "copy"): 1.0, ("b", "copy"): 2.0}
    assert ended == [process]
    assert ours.closed
    theirs.close()


def test_a_machine_without_cupy_has_no_exchange(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert peaks.cuda_latency() == {}


@pytest.mark.parametrize("arch", ["sm_80", "sm_90a", "sm_100"])
def test_it_compiles_for_a_gpu_and_keeps_nothing_in_local_memory(tmp_path, arch):
    from lstm_parity.backends import UnavailableError
    from lstm_parity.backends.cupy_raw.gpu.compile_report import compile_kernels

    try:
        compiled = compile_kernels(peaks.SOURCE.stem, "float32", {"threads": 256}, arch, assembled(tmp_path))
    except UnavailableError as error:
        pytest.skip(f"UNVERIFIED: {error}")
    report = compiled.reports["exchange_latency"]
    assert report.spill_bytes == report.stack_bytes == 0


def test_the_best_of_two_measurements_is_kept():
    peaks = {("gpu", "copy"): 5.0, ("gpu", "grid_exchange"): 2e-6}
    keep_best(peaks, {("gpu", "copy"): 4.0, ("gpu", "grid_exchange"): 3e-6, ("cpu", "copy"): 1.0})
    assert peaks == {("gpu", "copy"): 5.0, ("gpu", "grid_exchange"): 2e-6, ("cpu", "copy"): 1.0}
    keep_best(peaks, {("gpu", "copy"): 6.0, ("gpu", "grid_exchange"): 1e-6})
    assert peaks == {("gpu", "copy"): 6.0, ("gpu", "grid_exchange"): 1e-6, ("cpu", "copy"): 1.0}
