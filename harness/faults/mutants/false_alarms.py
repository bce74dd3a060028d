"""`python -m lstm_parity.harness.faults.mutants.false_alarms`: how often does the suite flag what is right?

100,000 examples must not once.

Every check runs on the right mutants, on `numpy` and, where torch is installed, on `torch-cpu`: sums in many orders, roundings
in many places. Sizes are small, where bounds are sharp; nothing is shrunk. What has been tried is kept in a file, one line for
each backend, check and seed, so that a run which was interrupted goes on. Exit code 1 if there was an alarm.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from lstm_parity.backends import LSTMBackend, UnavailableError, load_backend

from ...machine.host import cpu_count, worker_environment
from ...verify.checks import CHECKS
from ...verify.isolation.local import LocalExecutor
from ...verify.search import search
from .catalogue import right

TOTAL = 100_000
EACH = 60
"""Examples of one backend, check and seed."""


@dataclass(frozen=True)
class Unit:
    """What is tried at a time."""

    backend: str
    check: str
    seed: int


def _backends() -> dict[str, type[LSTMBackend]]:
    found: dict[str, type[LSTMBackend]] = {mutant.name: mutant.backend for mutant in right()}
    for name in ("numpy", "torch-cpu"):
        try:
            backend = load_backend(name)
        except UnavailableError:
            continue
        if backend.unavailable() is None:
            found[name] = backend
    return found


def _try(unit: Unit) -> tuple[int, str]:
    """Examples, and the alarm ("" if there was none)."""
    backend = _backends()[unit.backend]
    check = next(c for c in CHECKS if c.name == unit.check)
    small = replace(check, wish=replace(check.wish, small=True))
    seed = zlib.crc32(f"{unit.seed} {unit.backend} {unit.check}".encode())
    found = search(
        small, LocalExecutor(backend), backend.capabilities, examples=check.examples(EACH), seed_value=seed, shrink=False
    )
    if found.failure is None:
        return found.examples, ""
    problem = found.failure.asked[-1].problems[0].in_words() if found.failure.asked else ""
    return found.examples + 1, f"{problem}: {found.failure.reason}"


def _units() -> Iterator[Unit]:
    """Without end: every backend and check that it promises, seed after seed."""
    backends, seed = _backends(), 0
    while True:
        for name, backend in backends.items():
            for check in CHECKS:
                if check.why_skipped(backend.capabilities) is None:
                    yield Unit(name, check.name, seed)
        seed += 1


def main() -> int:
    """Try until there are enough, and say how many alarms there were."""
    parser = argparse.ArgumentParser(prog="python -m lstm_parity.harness.faults.mutants.false_alarms", description=__doc__)
    parser.add_argument("--examples", type=int, default=TOTAL, help=f"how many in all (default: {TOTAL:,})")
    parser.add_argument(
        "--state", type=Path, default=Path("false-alarms.jsonl"), help="what has been tried (default: %(default)s)"
    )
    arguments = parser.parse_args()
    done: set[Unit] = set()
    total, alarms = 0, 0
    if arguments.state.exists():
        for line in arguments.state.read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            done.add(Unit(**found["unit"]))
            total, alarms = total + found["examples"], alarms + bool(found["alarm"])
    units = (unit for unit in _units() if unit not in done)
    with (
        worker_environment(1),
        ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool,
        arguments.state.open("a", encoding="utf-8") as state,
    ):
        while total < arguments.examples:
            futures = {pool.submit(_try, unit): unit for unit, _ in zip(units, range(100), strict=False)}
            for future in as_completed(futures):
                unit, (examples, alarm) = futures[future], future.result()
                total, alarms = total + examples, alarms + bool(alarm)
                state.write(json.dumps({"unit": vars(unit), "examples": examples, "alarm": alarm}) + "\n")
                state.flush()
                if alarm:
                    print(f"ALARM {unit.backend} {unit.check} seed {unit.seed}: {alarm}", flush=True)
            print(f"{total:,} examples, {alarms} alarms", file=sys.stderr, flush=True)
    print(f"{alarms} alarms in {total:,} examples over {len(_backends())} right backends and {len(CHECKS)} checks")
    return int(alarms > 0)


if __name__ == "__main__":
    sys.exit(main())
