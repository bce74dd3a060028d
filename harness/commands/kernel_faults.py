"""`python -m lstm_parity.harness.faults.kernels`: what finds each planted kernel fault, the emulator or tests of values.

The tests of values are the property suite with the emulator's detectors off: the kernels run under the same schedules, and only
numbers are compared. Exit code 1 if the emulator misses a fault.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule

from ..faults.kernels.catalogue import FAULTS
from ..faults.kernels.fault import KernelFault
from ..faults.score import Score
from ..verify.checks import CHECKS
from ..verify.isolation.remote import RemoteExecutor
from ..verify.results import Options
from ..verify.suite import run_check
from ..worker.emulation import emulate

BACKEND = """\
from pathlib import Path
from lstm_parity.backends.cupy_raw.forced import {name}

class Faulty({name}):
    kernels = Path({kernels!r})
    max_checked_operations = 0
"""

FIRST = ("forward-float32", "row-alone")
"""Checks that are tried first: they find most."""


def main() -> int:
    """Print the table, a line as each fault is done, and the score."""
    parser = argparse.ArgumentParser(prog="python -m lstm_parity.harness.faults.kernels", description=__doc__)
    parser.add_argument("--examples", type=int, default=5, help="drawn problems a check of the property suite (default: 5)")
    arguments = parser.parse_args()
    by_emulator, by_values = [], []
    print("| fault | file | the emulator finds | the property suite, detectors off |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for fault in FAULTS:
            kernels = fault.plant(Path(folder))
            found = fault.result(list(_findings(fault, kernels)), "emulator")
            failed = fault.result(list(_first_failure(fault, kernels, arguments.examples)), "property suite")
            by_emulator.append(found)
            by_values.append(failed)
            print(f"| {fault.name} | {fault.file} | {found.reason or 'MISSED'} | {failed.reason or 'nothing'} |", flush=True)
    emulator, values = Score(tuple(by_emulator)), Score(tuple(by_values))
    print(f"\n{len(FAULTS)} faults: the emulator finds {emulator.killed}, value tests alone {values.killed}.")
    return int(bool(emulator.survivors))


def _findings(fault: KernelFault, kernels: Path) -> Iterator[str]:
    """The kinds of finding, with the places that they name."""
    under = [Schedule(kind, number) for number, kind in enumerate(KINDS)]
    seen = set()
    for _, finding in emulate(fault.problem(), under, kernels, fault.path).findings:
        if finding.kind not in seen:
            seen.add(finding.kind)
            yield f"{finding.kind} at {finding.file}:{finding.line}"


def _first_failure(fault: KernelFault, kernels: Path, examples: int) -> Iterator[str]:
    """The first check of the property suite that fails without the detectors; nothing where all pass."""
    name = "PersistentEmulated" if fault.path == "persistent" else "StepwiseEmulated"
    file = kernels / "faulty.py"
    file.write_text(BACKEND.format(name=name, kernels=str(kernels)), encoding="utf-8")
    executor = RemoteExecutor(f"{file}:Faulty", 1, 60.0)
    try:
        promises = executor.describe().capabilities
        for check in sorted(CHECKS, key=lambda check: check.name not in FIRST):
            result = run_check(check, f"{file}:Faulty", executor, promises, Options(examples=examples, shrink=False))
            if result.status == "FAIL":
                yield check.name
                return
    finally:
        executor.close()


if __name__ == "__main__":
    sys.exit(main())
