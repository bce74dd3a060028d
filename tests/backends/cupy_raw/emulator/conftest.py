from pathlib import Path

import pytest
from hypothesis import strategies as st

from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.emulator.findings import EmulationError
from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule

KERNELS = Path(__file__).parent / "kernels"
SCHEDULES = [Schedule(kind, seed) for kind in KINDS for seed in (0, 5)]


class Bench:
    """Launches the kernels beside this file; `find` gives what is found."""

    schedules = SCHEDULES
    drawn_schedules = staticmethod(lambda: st.builds(Schedule, st.sampled_from(KINDS), st.integers(0, 2**16)))

    def __init__(self) -> None:
        self.emulator = Emulator(KERNELS)
        self.empty = self.emulator.empty

    def launch(self, file, kernel, blocks, threads, arguments, precision="float32", **options):
        self.emulator.launch(
            kernel, precision, file=file, grid=(blocks, 1, 1), threads=threads, arguments=arguments, **{"sizes": {}, **options}
        )

    def find(self, *launch, **options):
        try:
            self.launch(*launch, **options)
        except EmulationError as error:
            return error.findings
        return ()

    @staticmethod
    def line(file, mark):
        """The line of a kernel file that ends in a comment with this mark."""
        lines = (KERNELS / f"{file}.cu").read_text().splitlines()
        found = [i for i, text in enumerate(lines, 1) if mark in text.partition("//")[2].strip().split(", ")]
        assert len(found) == 1, (mark, found)
        return found[0]


@pytest.fixture(scope="session")
def bench():
    reason = Emulator.unavailable()
    if reason is not None:
        pytest.skip(f"UNVERIFIED: {reason}")
    return Bench()
