"""Each planted fault is found under every kind of schedule; the kernels as they are give no finding on the same problems."""

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


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_found_under_every_kind_of_schedule(fault, tmp_path):
    kernels, problem = fault.plant(tmp_path), fault.problem()
    for schedule in UNDER:
        found = emulate(problem, [schedule], kernels, fault.path)
        kinds = {finding.kind for _, finding in found.findings}
        assert kinds & set(fault.kinds), f"{schedule}: {kinds}"
        assert all(finding.file.endswith((".cu", ".cuh")) and finding.line > 0 for _, finding in found.findings)


@pytest.mark.parametrize(
    "features", [dict(f) for f in dict.fromkeys(tuple(sorted(fault.features.items())) for fault in FAULTS)], ids=str
)
@pytest.mark.parametrize("path", ["persistent", "stepwise"])
def test_the_kernels_as_they_are_give_no_finding(features, path):
    found = emulate(small_problem(**features), UNDER, KERNELS, path)
    assert found.passed, found


def test_every_barrier_of_the_kernels_is_taken_out_by_one_of_them():
    for path in [*KERNELS.glob("*.cu"), KERNELS / "exchange.cuh", KERNELS / "slice.cuh"]:
        barriers = path.read_text(encoding="utf-8").count("__syncthreads();")
        taken = {
            fault.which for fault in FAULTS if fault.file == path.name and fault.old == "__syncthreads();" and not fault.new
        }
        assert taken == set(range(barriers)), path.name


def test_there_are_at_least_twenty_of_different_names():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20
