"""The emulator finds planted faults of each kind and file; the kernels as they are give no finding on the same problems."""

from __future__ import annotations

import pytest

from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.harness.faults.kernels.catalogue import FAULTS
from lstm_parity.harness.faults.kernels.fault import small_problem
from lstm_parity.harness.worker.emulation import emulate

pytestmark = pytest.mark.deep

UNDER = [Schedule(kind, number) for number, kind in enumerate(KINDS)]

if unavailable := Emulator.unavailable():
    pytest.skip(f"UNVERIFIED: {unavailable}", allow_module_level=True)


def sample():
    """Faults of every file and every kind of finding; the command tries all."""
    chosen, seen = [], set()
    for fault in FAULTS:
        if new := {fault.file, *fault.kinds} - seen:
            seen |= new
            chosen.append(fault)
    return chosen


def found_by(fault, kernels, schedules):
    found = emulate(fault.problem(), schedules, kernels, fault.path)
    assert all(finding.file.endswith((".cu", ".cuh")) and finding.line > 0 for _, finding in found.findings)
    return {finding.kind for _, finding in found.findings}


@pytest.mark.parametrize(("number", "fault"), list(enumerate(sample())), ids=lambda x: getattr(x, "name", ""))
def test_each_kind_of_fault_is_found(number, fault, tmp_path):
    kinds = found_by(fault, fault.plant(tmp_path), [UNDER[number % len(UNDER)]])
    assert kinds & set(fault.kinds), kinds


def test_a_fault_is_found_under_every_kind_of_schedule(tmp_path):
    fault = next(fault for fault in FAULTS if fault.name == "flag-stored-relaxed")
    kernels = fault.plant(tmp_path)
    for schedule in UNDER:
        assert found_by(fault, kernels, [schedule]) & set(fault.kinds), schedule


@pytest.mark.parametrize("path", ["persistent", "stepwise"])
def test_the_kernels_as_they_are_give_no_finding(path):
    for features in {tuple(sorted(fault.features.items())): fault.features for fault in FAULTS if fault.path == path}.values():
        found = emulate(small_problem(**features), UNDER, KERNELS, path)
        assert not found.findings, (features, found.findings)
        assert found.judgement.agrees
        assert not found.differing


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_can_be_planted(fault, tmp_path):
    planted = (fault.plant(tmp_path) / fault.file).read_text(encoding="utf-8")
    assert planted != (KERNELS / fault.file).read_text(encoding="utf-8")


def test_every_barrier_of_the_kernels_is_taken_out_by_one_of_them():
    for path in [*KERNELS.glob("*.cu"), KERNELS / "exchange.cuh", KERNELS / "slice.cuh"]:
        barriers = path.read_text(encoding="utf-8").count("__syncthreads();")
        taken = {
            fault.which for fault in FAULTS if fault.file == path.name and fault.old == "__syncthreads();" and not fault.new
        }
        assert taken == set(range(barriers)), path.name


def test_there_are_at_least_twenty_of_different_names():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20
