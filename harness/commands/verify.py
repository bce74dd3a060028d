"""`lstm-parity verify`: runs the property suite on one or more backends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CallError, check_writable
from ..text import say
from .options import natural, positive, seconds

if TYPE_CHECKING:
    from ..verify.check import Check
    from ..verify.results import BackendResult, Options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument("backends", nargs="*", metavar="BACKEND", help="a registered name, module:Class or file.py:Class")
    parser.add_argument("--examples", type=positive, metavar="N", help="drawn problems a check (default: 20)")
    parser.add_argument("--seed", type=natural, metavar="S", help="which problems are drawn (default: other ones each time)")
    parser.add_argument("--only", action="append", metavar="CHECK", help="this check alone; may be repeated")
    parser.add_argument("--list-checks", action="store_true", help="every check and what it claims")
    parser.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="how long a backend may take to answer (default: 60)"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="threads for the backend (default: all cores)")
    parser.add_argument("--weights", metavar="FILE", help="the LSTM of a model file as one more regime of values")
    parser.add_argument("--known-failures", type=Path, metavar="FILE", help='TOML: a table a backend, check = "reason"')
    parser.add_argument("--json", type=Path, metavar="FILE", help="the verdicts for programs")
    parser.add_argument("--store", type=Path, metavar="FILE", help="a store that keeps the verdicts, for the report")


def run(arguments: argparse.Namespace) -> int:
    """Verify the backends and print their verdicts; returns the exit code."""
    from ..api.verify import chosen_checks
    from ..verify.checks import CHECKS
    from ..worker.spawn import interrupted_once

    if arguments.list_checks:
        print(list_checks(CHECKS))
        return 0
    if not arguments.backends:
        raise CallError(
            "name a backend to verify: a registered one (`lstm-parity backends` lists them), module:Class or file.py:Class"
        )
    backends = tuple(dict.fromkeys(arguments.backends))
    checks = chosen_checks(arguments.only)
    options, known = options_of(arguments, backends)
    results: list[BackendResult] = []
    try:
        with interrupted_once(to_the_end=arguments.is_process):
            results.extend(verify_all(backends, checks, options, known))
    finally:
        if arguments.json is not None or arguments.store is not None:
            from ..machine.host import fingerprint
            from ..verify.formatting import as_json
            from ..verify.keep import keep_verdicts

            machine = fingerprint()
            if arguments.json is not None:
                arguments.json.write_text(as_json(results, machine, options), encoding="utf-8")
            if arguments.store is not None:
                keep_verdicts(arguments.store, results, machine, options)
    say(f"seed {options.seed} draws the same problems again")
    return exit_code(results)


def options_of(arguments: argparse.Namespace, backends: Sequence[str]) -> tuple[Options, dict[str, dict[str, str]]]:
    """The suite's options and the known failures by backend. Raises CallError."""
    from ..api.verify import suite_options
    from ..verify.checks import CHECKS
    from ..verify.known_failures import load_known_failures

    known = {}
    if arguments.known_failures is not None:
        known = load_known_failures(arguments.known_failures, backends, {check.name for check in CHECKS})
    check_writable("--json", arguments.json)
    options = suite_options(
        backends,
        examples=arguments.examples,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
        threads=arguments.threads,
        weights=arguments.weights,
        whole=not arguments.only,
        store=arguments.store,
        folder=Path(),
    )
    return options, known


def verify_all(
    backends: Sequence[str], checks: Sequence[Check], options: Options, known: Mapping[str, Mapping[str, str]]
) -> Iterator[BackendResult]:
    """Verify each backend and print its result on standard output."""
    from ..api.verify import run_suite

    for name in backends:
        result = run_suite(name, checks, replace(options, known=known.get(name, {})))
        say(str(result), sys.stdout)
        yield result
        if result.interrupted:
            raise KeyboardInterrupt


def list_checks(checks: Sequence[Check]) -> str:
    """One line per check: its name and its claim."""
    width = max(len(check.name) for check in checks)
    return "\n".join(f"{check.name:<{width}}  {check.claim}" for check in checks)


def exit_code(results: Sequence[BackendResult]) -> int:
    """1 if any verdict is FAIL, else 2 if any is UNVERIFIED, else 0."""
    verdicts = {result.verdict for result in results}
    return 1 if "FAIL" in verdicts else 2 if "UNVERIFIED" in verdicts else 0
