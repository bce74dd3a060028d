"""`lstm-parity verify`: several backends one after the other, shown while they run, and what is left behind."""

from __future__ import annotations

import secrets
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TextIO

from lstm_parity.backends import LSTMWeights

from ..errors import CallError, check_writable
from ..machine.host import cpu_count
from ..streams import discard
from ..verify.backend import verify_backend
from ..verify.check import Check
from ..verify.checks import CHECKS
from ..verify.formatting import check_as_text, lead, skips_as_text
from ..verify.isolation.remote import NotThereError, RemoteExecutor
from ..verify.keep import check_store
from ..verify.known import load_known_failures
from ..verify.suite import DEFAULT_EXAMPLES, DEFAULT_TIMEOUT_S, BackendResult, Options
from ..verify.trial import BackendFaultError
from .weights_file import check_precisions, read_weights

MANY = 100
"""A log tells how far things are where there are so many."""


def chosen_checks(names: Sequence[str] | None) -> tuple[Check, ...]:
    """The checks of these names in the list's order; None: all. Raises CallError for a name that is no check."""
    known = [check.name for check in CHECKS]
    for name in names or ():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            raise CallError(f"--only {name}: there is no such check; {guess}--list-checks lists them")
    return tuple(check for check in CHECKS if names is None or check.name in names)


def options_of(arguments: Namespace, backends: Sequence[str]) -> tuple[Options, dict[str, dict[str, str]]]:
    """The options that the words describe, and the known failures by backend. Raises CallError."""
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
    """The file's weights. Raises CallError where a backend does not promise their spec, or a precision cannot hold them."""
    model = read_weights(file)
    spec = model.spec("float32")
    for backend in backends:
        executor = RemoteExecutor(backend, threads, timeout_s)
        try:
            promises = executor.describe().capabilities
        except (NotThereError, BackendFaultError):
            continue  # its verdict says so
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
    """Verify each backend and print what became of it on standard output."""
    claims = {check.name: check.claim for check in checks}
    for name in backends:
        with _bar(name, len(checks)) as show:
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
    lines = [lead(result)]
    if not result.reason:
        told = [c for c in result.checks if c.status in ("FAIL", "KNOWN", "UNVERIFIED")]
        because = [c for c in told if not c.reason.startswith("not run")]
        lines += [check_as_text(c, claims[c.check]) for c in because]
        if left := [c for c in told if c not in because]:
            lines.append(f"  UNVERIFIED the other {len(left)} checks: {left[0].reason}")
        lines += skips_as_text(result.checks)
    return "\n".join(lines)


def list_checks(checks: Sequence[Check]) -> str:
    """A line a check: its name and its claim."""
    width = max(len(check.name) for check in checks)
    return "\n".join(f"{check.name:<{width}}  {check.claim}" for check in checks)


def exit_code(results: Sequence[BackendResult]) -> int:
    """1 if any verdict is FAIL, else 2 if any is UNVERIFIED, else 0."""
    verdicts = {result.verdict for result in results}
    return 1 if "FAIL" in verdicts else 2 if "UNVERIFIED" in verdicts else 0


def say(text: str, stream: TextIO | None = None) -> None:
    """Print, on standard error where nothing else is given; whoever read it may have gone."""
    stream = stream or sys.stderr
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):
        discard(stream)


def database_folder() -> Path | None:
    """Where Hypothesis keeps examples that failed, to try them first the next time; None where nothing can be written."""
    folder = Path(".hypothesis", "lstm-parity")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[str], None]]:
    """A live bar on a terminal, moved on by each call, which may name what failed; elsewhere a line now and then."""
    if not sys.stderr.isatty():
        yield _plain(name, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    text = TextColumn("{task.description}", markup=False)
    with Progress(*columns, text, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)
        told: list[str] = []

        def show(failed: str) -> None:
            told.extend([failed] if failed else [])
            bar.update(task, advance=1, description=f"{name}: {', '.join(told)}" if told else name)

        yield show


def _plain(name: str, total: int) -> Callable[[str], None]:
    """For logs: a line when a tenth more is done, where there is much to do."""
    done = 0

    def show(failed: str) -> None:
        nonlocal done
        done += 1
        if total >= MANY and done * 10 // total > (done - 1) * 10 // total:
            say(f"{name}: {done} of {total}")

    return show
