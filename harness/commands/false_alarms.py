"""`python -m lstm_parity.harness.commands.false_alarms`: how often does the suite flag what is right?

100,000 examples must not once.

Every check runs on the right mutants, on `numpy` and, where torch is installed, on `torch-cpu`: sums in many orders, roundings
in many places. Sizes are small, where bounds are sharp; nothing is shrunk. What has been tried is kept in a file, one line for
each backend, check and seed, so that a run which was interrupted is continued. Exit code 1 if there was an alarm.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from lstm_parity.backends import LSTMBackend, UnavailableError, load_backend

from ..faults.mutants import right
from ..verify.checks import CHECKS
from ..verify.isolation.local import LocalExecutor
from ..verify.search import search
from ..worker.pool import run_in_parallel
from .mutants import log_progress

TOTAL = 100_000
EXAMPLES = 60
"""Examples of one backend, check and seed."""


@dataclass(frozen=True)
class Unit:
    """What is tried at a time."""

    backend: str
    check: str
    seed: int


@dataclass
class Tally:
    """How much has been tried."""

    examples: int = 0
    alarms: int = 0

    def add(self, examples: int, alarm: str) -> None:
        """One unit more."""
        self.examples += examples
        self.alarms += bool(alarm)


def right_backends() -> dict[str, type[LSTMBackend]]:
    """Backends that must not be flagged, by name."""
    found: dict[str, type[LSTMBackend]] = {mutant.name: mutant.backend for mutant in right()}
    for name in ("numpy", "torch-cpu"):
        try:
            backend = load_backend(name)
        except UnavailableError:
            continue
        if backend.unavailable() is None:
            found[name] = backend
    return found


def try_unit(unit: Unit) -> tuple[int, str]:
    """Examples, and the alarm ("" if there was none)."""
    backend = right_backends()[unit.backend]
    check = next(c for c in CHECKS if c.name == unit.check)
    small = replace(check, requirements=replace(check.requirements, small=True))
    seed = zlib.crc32(f"{unit.seed} {unit.backend} {unit.check}".encode())
    executor, promises = LocalExecutor(backend), backend.capabilities
    found = search(small, executor, promises, examples=check.examples(EXAMPLES), seed_value=seed, shrink=False)
    if found.failure is None:
        return found.examples, ""
    problem = found.failure.runs[-1].problems[0].describe() if found.failure.runs else ""
    return found.examples + 1, f"{problem}: {found.failure.reason}"


def all_units() -> Iterator[Unit]:
    """Without end: every backend and check that it promises, seed after seed."""
    backends, seed = right_backends(), 0
    while True:
        for name, backend in backends.items():
            for check in CHECKS:
                if check.why_skipped(backend.capabilities) is None:
                    yield Unit(name, check.name, seed)
        seed += 1


def main() -> int:
    """Try until there are enough, and say how many alarms there were."""
    parser = argparse.ArgumentParser(prog="python -m lstm_parity.harness.commands.false_alarms", description=__doc__)
    parser.add_argument("--examples", type=int, default=TOTAL, help=f"how many in all (default: {TOTAL:,})")
    parser.add_argument(
        "--state", type=Path, default=Path("false-alarms.jsonl"), help="what has been tried (default: %(default)s)"
    )
    arguments = parser.parse_args()
    done: set[Unit] = set()
    tally = Tally()
    if arguments.state.exists():
        for line in arguments.state.read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            done.add(Unit(**found["unit"]))
            tally.add(found["examples"], found["alarm"])
    missing = takewhile(lambda _: tally.examples < arguments.examples, (unit for unit in all_units() if unit not in done))
    show = log_progress(lambda: f"{tally.examples:,} examples, {tally.alarms} alarms")
    with arguments.state.open("a", encoding="utf-8") as state:
        for unit, (examples, alarm) in run_in_parallel(try_unit, missing, show):
            tally.add(examples, alarm)
            state.write(json.dumps({"unit": vars(unit), "examples": examples, "alarm": alarm}) + "\n")
            state.flush()
            if alarm:
                print(f"ALARM {unit.backend} {unit.check} seed {unit.seed}: {alarm}", flush=True)
            show()
    tried = f"{tally.examples:,} examples over {len(right_backends())} right backends and {len(CHECKS)} checks"
    print(f"{tally.alarms} alarms in {tried}")
    return int(tally.alarms > 0)


if __name__ == "__main__":
    from lstm_parity.harness.commands import false_alarms  # the workers import its functions by this name

    try:
        sys.exit(false_alarms.main())
    except KeyboardInterrupt:
        print("false-alarms: interrupted", file=sys.stderr)
        sys.exit(130)
