"""`lstm_parity.verify`: the property suite on one backend."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

from lstm_parity.backends import LSTMWeights

from ..errors import CallError
from ..machine.host import cpu_count, fingerprint
from ..text import progress_bar
from ..verify.backend import verify_backend
from ..verify.check import Check
from ..verify.checks import CHECKS
from ..verify.formatting import check_as_text, skips_as_text, verdict_line
from ..verify.isolation.remote import NotThereError, RemoteExecutor
from ..verify.keep import check_store, keep_verdicts
from ..verify.known_failures import load_known_failures
from ..verify.program import BackendFaultError
from ..verify.results import DEFAULT_EXAMPLES, DEFAULT_TIMEOUT_S, BackendResult, CheckResult, Options
from .naming import Backend, name_of
from .values import seconds, whole
from .weights_file import check_precisions, read_weights


@dataclass(frozen=True, repr=False)
class VerifyResult(BackendResult):
    """The verdict on one backend; printed, the verdict and every check that is not PASS."""

    seed: int = 0
    """Draws the same problems again."""

    @property
    def ok(self) -> bool:
        """Whether the verdict is PASS."""
        return self.verdict == "PASS"

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "FAIL")

    def check(self, name: str) -> CheckResult:
        """The check of that name. Raises KeyError for one that was not asked for."""
        for check in self.checks:
            if check.check == name:
                return check
        raise KeyError(name)

    def __str__(self) -> str:
        lines = [verdict_line(self)]
        if not self.reason:
            claims = {check.name: check.claim for check in CHECKS}
            shown = [c for c in self.checks if c.status in ("FAIL", "KNOWN", "UNVERIFIED")]
            ran = [c for c in shown if not c.reason.startswith("not run")]
            lines += [check_as_text(c, claims[c.check]) for c in ran]
            if not_run := [c for c in shown if c not in ran]:
                lines.append(f"  UNVERIFIED the other {len(not_run)} checks: {not_run[0].reason}")
            lines += skips_as_text(self.checks)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<VerifyResult {verdict_line(self)}>"


def verify(
    backend: Backend,
    *,
    examples: int = DEFAULT_EXAMPLES,
    seed: int | None = None,
    only: str | Sequence[str] | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    threads: int | None = None,
    weights: str | Path | None = None,
    known_failures: str | Path | Mapping[str, str] | None = None,
    store: str | Path | None = None,
    counterexamples: str | Path | None = Path(),
    progress: bool = True,
) -> VerifyResult:
    """Run the property suite on a backend, in processes of its own; `lstm-parity verify` in Python.

    Args:
        backend: a subclass of LSTMBackend, or a name as on the command line.
        examples: drawn problems a check.
        seed: which problems are drawn; other ones each time if None.
        only: the names of the checks to run; all if None.
        timeout: seconds that the backend may take to answer.
        threads: of the backend; all cores if None.
        weights: a model file, whose LSTM is one more regime of values.
        known_failures: reasons by the name of the check, or a TOML file with a table for each backend.
        store: a file that keeps the verdict, for the report.
        counterexamples: the folder for the scripts that show a failure, and for Hypothesis's database of examples that failed;
            nothing is written if None.
        progress: whether progress is shown on standard error.

    Raises:
        CallError: a check, file or option that does not exist or cannot be used. A backend that cannot be found, imported or
            run here is no error but a result: UNVERIFIED.
        KeyboardInterrupt: after Ctrl-C.
    """
    name, checks = name_of(backend), chosen_checks([only] if isinstance(only, str) else only)
    seed, threads = whole("seed", seed, 0), whole("threads", threads, 1)
    if isinstance(known_failures, (str, Path)):
        known = load_known_failures(Path(known_failures), [name], {check.name for check in CHECKS}).get(name, {})
    else:
        known = known_reasons(known_failures)
    store = None if store is None else Path(store)
    options = suite_options(
        [name],
        examples=whole("examples", examples, 1),
        seed=seed,
        timeout_s=seconds("timeout", timeout),
        threads=threads,
        weights=None if weights is None else str(weights),
        whole=only is None,
        store=store,
        folder=None if counterexamples is None else Path(counterexamples),
    )
    result = run_suite(name, checks, replace(options, known=known), progress=progress)
    if result.interrupted:
        raise KeyboardInterrupt
    if store is not None:
        keep_verdicts(store, [result], fingerprint(), options)
    return result


def chosen_checks(names: Sequence[str] | None) -> tuple[Check, ...]:
    """The checks of these names in the list's order; None: all. Raises CallError for an unknown name."""
    known = [check.name for check in CHECKS]
    listed = isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(name, str) for name in names)
    if names is not None and not (listed and names):
        raise CallError(f"only must be the names of checks, at least one, not {names!r}")
    for name in names or ():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            raise CallError(f"--only {name}: there is no such check; {guess}--list-checks lists them")
    return tuple(check for check in CHECKS if names is None or check.name in names)


def known_reasons(known_failures: Mapping[str, str] | None) -> dict[str, str]:
    """Reasons by the name of the check. Raises CallError for an unknown name."""
    if not isinstance(known_failures, Mapping | None):
        raise CallError(f"known_failures must map names of checks to reasons, not {known_failures!r}")
    known = dict(known_failures or {})
    if unknown := known.keys() - {check.name for check in CHECKS}:
        raise CallError(f"known_failures: there is no check {min(unknown)!r}; `lstm-parity verify --list-checks` lists them")
    return known


def suite_options(
    backends: Sequence[str],
    *,
    examples: int | None,
    seed: int | None,
    timeout_s: float | None,
    threads: int | None,
    weights: str | None,
    whole: bool,
    store: Path | None,
    folder: Path | None,
) -> Options:
    """The suite's options, without known failures. whole: whether all checks are to be run. Raises CallError."""
    if store is not None and not whole:
        raise CallError("--store keeps the verdict of all checks; leave --only out, or look at one check without --store")
    threads, timeout_s = threads or cpu_count(), timeout_s or DEFAULT_TIMEOUT_S
    file_weights = None if weights is None else _promised_weights(weights, backends, threads, timeout_s)
    check_store(store)
    return Options(
        examples=examples or DEFAULT_EXAMPLES,
        seed=secrets.randbelow(10**6) if seed is None else seed,
        timeout_s=timeout_s,
        threads=threads,
        file_weights=file_weights,
        folder=folder,
        database=None if folder is None else database_folder(folder),
    )


def _promised_weights(file: str, backends: Sequence[str], threads: int, timeout_s: float) -> LSTMWeights:
    """The file's weights. Raises CallError for a spec that is not promised, or values that do not fit a precision."""
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


def database_folder(folder: Path) -> Path | None:
    """Where Hypothesis stores failing examples, which it tries first the next time; None if the folder cannot be created."""
    database = folder / ".hypothesis" / "lstm-parity"
    try:
        database.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return database


def run_suite(name: str, checks: Sequence[Check], options: Options, *, progress: bool = True) -> VerifyResult:
    """The checks on one backend."""
    with progress_bar(name, len(checks), shown=progress) as show:
        found = verify_backend(name, checks, options, lambda r: show(f"FAIL {r.check}" if r.status == "FAIL" else ""))
    return VerifyResult(**{field.name: getattr(found, field.name) for field in fields(found)}, seed=options.seed)
