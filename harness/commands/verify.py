"""`lstm-parity verify`: runs the property suite on one or more backends."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CallError, check_writable
from ..text import say
from .options import natural, positive, seconds

if TYPE_CHECKING:
    from lstm_parity.backends import LSTMWeights

    from ..verify.check import Check
    from ..verify.results import BackendResult, Options

MIN_TOTAL_TO_LOG = 100
"""Where standard error is no terminal, progress is logged for at least this many steps."""


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


def chosen_checks(names: Sequence[str] | None) -> tuple[Check, ...]:
    """The checks of these names in the list's order; None: all. Raises CallError for an unknown name."""
    from ..verify.checks import CHECKS

    known = [check.name for check in CHECKS]
    for name in names or ():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            raise CallError(f"--only {name}: there is no such check; {guess}--list-checks lists them")
    return tuple(check for check in CHECKS if names is None or check.name in names)


def options_of(arguments: argparse.Namespace, backends: Sequence[str]) -> tuple[Options, dict[str, dict[str, str]]]:
    """The suite's options and the known failures by backend. Raises CallError."""
    from ..machine.host import cpu_count
    from ..verify.checks import CHECKS
    from ..verify.keep import check_store
    from ..verify.known_failures import load_known_failures
    from ..verify.results import DEFAULT_EXAMPLES, DEFAULT_TIMEOUT_S, Options

    known = {}
    if arguments.known_failures is not None:
        known = load_known_failures(arguments.known_failures, backends, {check.name for check in CHECKS})
    check_writable("--json", arguments.json)
    if arguments.store is not None and arguments.only:
        raise CallError("--store keeps the verdict of all checks; leave --only out, or look at one check without --store")
    threads, timeout_s = arguments.threads or cpu_count(), arguments.timeout or DEFAULT_TIMEOUT_S
    weights = None
    if arguments.weights is not None:
        weights = _promised_weights(arguments.weights, backends, threads, timeout_s)
    check_store(arguments.store)
    options = Options(
        examples=arguments.examples or DEFAULT_EXAMPLES,
        seed=secrets.randbelow(10**6) if arguments.seed is None else arguments.seed,
        timeout_s=timeout_s,
        threads=threads,
        file_weights=weights,
        folder=Path(),
        database=database_folder(),
    )
    return options, known


def _promised_weights(file: str, backends: Sequence[str], threads: int, timeout_s: float) -> LSTMWeights:
    """The file's weights. Raises CallError for a spec that is not promised, or values that do not fit a precision."""
    from ..verify.isolation.remote import NotThereError, RemoteExecutor
    from ..verify.program import BackendFaultError
    from .weights_file import check_precisions, read_weights

    model = read_weights(file)
    spec = model.spec("float32")
    for backend in backends:
        executor = RemoteExecutor(backend, threads, timeout_s)
        try:
            promises = executor.describe().capabilities
        except (NotThereError, BackendFaultError):
            continue  # reported by its verdict
        finally:
            executor.close()
        precisions = sorted(promises.precisions)
        reason = promises.why_unsupported(replace(spec, precision=precisions[0])) if precisions else None  # type: ignore[arg-type]
        if reason is not None:
            raise CallError(f"--weights {file}: {backend}: {reason}")
        check_precisions(model, precisions)
    return model.weights


def verify_all(
    backends: Sequence[str], checks: Sequence[Check], options: Options, known: Mapping[str, Mapping[str, str]]
) -> Iterator[BackendResult]:
    """Verify each backend and print its result on standard output."""
    from ..verify.backend import verify_backend

    claims = {check.name: check.claim for check in checks}
    for name in backends:
        with progress_bar(name, len(checks)) as show:
            result = verify_backend(
                name,
                checks,
                replace(options, known=known.get(name, {})),
                lambda r: show(f"FAIL {r.check}" if r.status == "FAIL" else ""),
            )
        say(as_text(result, claims), sys.stdout)
        yield result
        if result.interrupted:
            raise KeyboardInterrupt


def as_text(result: BackendResult, claims: Mapping[str, str]) -> str:
    """The verdict, then every check that is not PASS."""
    from ..verify.formatting import check_as_text, lead, skips_as_text

    lines = [lead(result)]
    if not result.reason:
        shown = [c for c in result.checks if c.status in ("FAIL", "KNOWN", "UNVERIFIED")]
        ran = [c for c in shown if not c.reason.startswith("not run")]
        lines += [check_as_text(c, claims[c.check]) for c in ran]
        if not_run := [c for c in shown if c not in ran]:
            lines.append(f"  UNVERIFIED the other {len(not_run)} checks: {not_run[0].reason}")
        lines += skips_as_text(result.checks)
    return "\n".join(lines)


def list_checks(checks: Sequence[Check]) -> str:
    """One line per check: its name and its claim."""
    width = max(len(check.name) for check in checks)
    return "\n".join(f"{check.name:<{width}}  {check.claim}" for check in checks)


def exit_code(results: Sequence[BackendResult]) -> int:
    """1 if any verdict is FAIL, else 2 if any is UNVERIFIED, else 0."""
    verdicts = {result.verdict for result in results}
    return 1 if "FAIL" in verdicts else 2 if "UNVERIFIED" in verdicts else 0


def database_folder() -> Path | None:
    """Where Hypothesis stores failing examples, which it tries first the next time; None if the folder cannot be created."""
    folder = Path(".hypothesis", "lstm-parity")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


@contextmanager
def progress_bar(name: str, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar, or a log where standard error is no terminal. A call is one step; its argument names what failed."""
    if not sys.stderr.isatty():
        yield _logged(name, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    text = TextColumn("{task.description}", markup=False)
    with Progress(*columns, text, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)
        failures: list[str] = []

        def show(failed: str) -> None:
            failures.extend([failed] if failed else [])
            bar.update(task, advance=1, description=f"{name}: {', '.join(failures)}" if failures else name)

        yield show


def _logged(name: str, total: int) -> Callable[[str], None]:
    """For logs: one line after each tenth of a long job."""
    done = 0

    def show(failed: str) -> None:
        nonlocal done
        done += 1
        if total >= MIN_TOTAL_TO_LOG and done * 10 // total > (done - 1) * 10 // total:
            say(f"{name}: {done} of {total}")

    return show
