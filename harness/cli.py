"""The command line: words in, calls out. Every import that costs time is inside the command that needs it.

Exit codes: 0 all is well; 1 the thing asked about is not well; 2 the call cannot be carried out (one line on standard error
says what and how to mend it); 130 after Ctrl-C, with everything finished so far kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .commands.arguments import as_command, build_parser
from .errors import CallError
from .streams import discard

if TYPE_CHECKING:
    from lstm_parity.backends import LSTMSpec

    from .sweep.grid import Definition
    from .verify.suite import BackendResult


CORE = ("numpy", "pandas", "hypothesis", "ml_dtypes", "pyarrow", "rich")
"""What every command may import; a checkout that is not installed may lack it."""


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line; returns the exit code."""
    given = list(sys.argv[1:] if words is None else words)
    arguments = build_parser().parse_args(given)
    arguments.words, arguments.is_process = given, words is None
    try:
        code = _COMMANDS[arguments.command](arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except CallError as error:
        print(f"lstm-parity {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        from .sweep.progress import say

        say(f"lstm-parity {arguments.command}: interrupted")
        return 130
    except BrokenPipeError:  # whoever read standard output has gone
        discard(sys.stdout)
        return 0
    except ModuleNotFoundError as error:
        if (missing := (error.name or "").partition(".")[0]) not in CORE:
            raise
        print(
            f"lstm-parity {arguments.command}: the package {missing} is not installed; pip install {missing}", file=sys.stderr
        )
        return 2
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"lstm-parity {arguments.command}: {what}", file=sys.stderr)
        return 2


def _backends(arguments: argparse.Namespace) -> int:
    from .commands.backends import as_json, as_text, inventory

    found = inventory()
    print(as_json(found) if arguments.json else as_text(found))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from .commands.verify import chosen_checks, exit_code, list_checks, options_of, say, verify_all
    from .verify.checks import CHECKS
    from .worker.spawn import interrupted_once

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
            from .machine.host import fingerprint
            from .verify.formatting import as_json
            from .verify.keep import keep_verdicts

            machine = fingerprint()
            if arguments.json is not None:
                arguments.json.write_text(as_json(results, machine, options), encoding="utf-8")
            if arguments.store is not None:
                keep_verdicts(arguments.store, results, machine, options)
    say(f"seed {options.seed} draws the same problems again")
    return exit_code(results)


def _mutants(arguments: argparse.Namespace) -> int:
    from .commands.mutants import score_mutants

    return score_mutants(arguments.json, arguments.store)


def _definition(arguments: argparse.Namespace, duel_budget_s: float | None = None) -> tuple[Definition, Any]:
    """The sweep that the words describe, and the weights that they name. duel_budget_s: in place of a preset's budget."""
    from .machine.host import cpu_count
    from .sweep.grid import (
        AXES,
        DEFAULT_BUDGET_S,
        Definition,
        axis_values,
        cells_of,
        file_digests,
        in_place_of,
        load_sweep,
        with_weights,
    )

    cores = cpu_count()
    if (arguments.threads or 1) > cores:
        raise CallError(f"--threads {arguments.threads}: this process may use {cores} cores; say that many or fewer")
    said = load_sweep(arguments.sweep)
    axes: dict[str, Any] = {name: getattr(arguments, name, None) for name in AXES}
    for name in ("mode", "bidirectional"):
        axes[name] = None if axes[name] is None else [axes[name]]
    axes["cache"] = ["warm"] if arguments.warm else None
    words = {name: axis_values(name, values) for name, values in axes.items() if values is not None}
    weights = None
    if arguments.weights is None:
        cells = cells_of(said.grids, words)
    else:
        from .commands.weights_file import check_precisions, read_weights

        model = read_weights(arguments.weights)
        spec = model.spec("float32")
        sizes = {name: getattr(spec, name) for name in vars(spec) if name != "precision"}
        cells = with_weights(said, words, sizes, arguments.weights)
        check_precisions(model, {cell.precision for cell in cells})
        weights = model.weights
    backends = tuple(dict.fromkeys(arguments.backend)) if arguments.backend else said.backends
    said_s = None if said.is_preset and duel_budget_s else said.budget_s
    definition = Definition(
        title=in_place_of(said.title, words),
        cells=cells,
        backends=backends,
        named=bool(arguments.backend),
        threads=arguments.threads or cores,
        budget_s=arguments.budget or said_s or duel_budget_s or DEFAULT_BUDGET_S,
        weights_file=arguments.weights,
        digests=file_digests([*backends, *([arguments.weights] if arguments.weights else [])]),
    )
    return definition, weights


def _sweep(arguments: argparse.Namespace) -> int:
    definition, weights = _definition(arguments)
    from .store import Store
    from .sweep.progress import say, shown_progress
    from .sweep.run import refuse_too_large, run_sweep
    from .sweep.words import how_it_went
    from .worker.spawn import interrupted_once

    refuse_too_large(definition.cells)
    with interrupted_once(to_the_end=arguments.is_process):
        with Store(arguments.store, create=True) as store, shown_progress() as progress:
            outcome = run_sweep(definition, store, as_command(arguments), progress, resume=arguments.resume, weights=weights)
        say(how_it_went(outcome, arguments.store))
    if outcome.interrupted:
        return 130
    return 0 if outcome.well or outcome.nothing_to_do else 1


def _duel(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from .commands.compare import duel
    from .compare.duel import DUEL_BUDGET_S, duel_threads

    definition, _ = _definition(arguments, DUEL_BUDGET_S)
    from .sweep.run import refuse_too_large
    from .worker.spawn import interrupted_once

    refuse_too_large(definition.cells)
    if arguments.threads is None:
        definition = replace(definition, threads=duel_threads())
    with interrupted_once(to_the_end=arguments.is_process):
        return duel(definition, arguments.old, arguments.new, arguments)


def _compare(arguments: argparse.Namespace) -> int:
    from .commands.compare import compare

    return compare(arguments)


def _calibrate(arguments: argparse.Namespace) -> int:
    from .compare.calibrate import as_markdown, calibrate, kept
    from .sweep.progress import shown_progress
    from .worker.spawn import interrupted_once

    with interrupted_once(to_the_end=arguments.is_process), shown_progress() as progress:
        records = calibrate(arguments.out, arguments.pairs, progress)
    print(as_markdown(records))
    return 0 if kept(records) else 1


def _spec(arguments: argparse.Namespace) -> LSTMSpec:
    """The spec that the words of `_add_problem` describe."""
    from lstm_parity.backends import LSTMSpec

    try:
        return LSTMSpec(
            input_size=arguments.input_size or arguments.hidden_size,
            hidden_size=arguments.hidden_size,
            num_layers=arguments.num_layers,
            bidirectional=arguments.bidirectional,
            proj_size=arguments.proj_size,
            bias=not arguments.no_bias,
            peephole=arguments.peephole,
            precision=arguments.precision,
        )
    except ValueError as error:
        raise CallError(str(error)) from error


def _plan(arguments: argparse.Namespace) -> int:
    from .commands.plan import device_named, plan_in_words

    device, training = device_named(arguments.arch), arguments.mode == "training"
    steps, batch = arguments.sequence_length, arguments.batch_size
    print(plan_in_words(_spec(arguments), steps, batch, device, training=training, path=arguments.path))
    return 0


def _emulate(arguments: argparse.Namespace) -> int:
    import numpy as np

    from lstm_parity.backends.cupy_raw.source import KERNELS

    from .commands.emulate import Emulated, apart, check_folder, check_room, in_words, schedules
    from .problems.regimes import draw_problem

    steps, batch, seed = arguments.sequence_length, arguments.batch_size, arguments.seed
    spec, kernels = _spec(arguments), arguments.kernels or KERNELS
    check_folder(kernels)
    check_room(spec, steps, batch)
    lengths = None
    if arguments.ragged:
        lengths = np.random.default_rng(seed).integers(0, steps + 1, batch)
        lengths[0], lengths[-1] = 0, steps
    problem = draw_problem(spec, steps, batch, seed, lengths=lengths, training=arguments.mode == "training")
    if lengths is not None:  # what is never read may be anything
        problem.inputs.x[np.arange(steps)[:, None] >= lengths] = np.nan
    under = schedules(arguments.schedules, seed, arguments.schedule)
    found = Emulated()
    try:
        for found in apart(problem, under, kernels, arguments.path):  # noqa: B007  the last one counts
            pass
    except KeyboardInterrupt:
        print(in_words(found, problem, kernels))
        raise
    print(in_words(found, problem, kernels))
    return 0 if found.well else 1


def _report(arguments: argparse.Namespace) -> int:
    from lstm_parity.reports.build import write_report
    from lstm_parity.reports.frame import ReportData, ReportError

    from .store import Store

    if arguments.out.exists() and not arguments.out.is_dir():
        raise CallError(f"{arguments.out} is a file; --out takes a folder, which is made where there is none")
    with Store(arguments.store) as store:
        frames = store.frames()
    data = ReportData(
        rows=frames.rows,
        samples=frames.samples,
        runs=frames.runs,
        command=as_command(arguments),
        peaks=frames.peaks,
        verdicts=frames.verdicts,
        mutation_scores=frames.mutation_scores,
        store=str(arguments.store),
    )
    try:
        verdict = write_report(data, arguments.out, arguments.baseline)
    except ReportError as error:
        raise CallError(str(error)) from error
    for sentence in verdict.sentences:
        print(sentence)
    print(verdict.files[0])
    return 0


def _runs(arguments: argparse.Namespace) -> int:
    from .commands import runs
    from .store import Store

    if arguments.action is not None and arguments.json:
        raise CallError("--json is for the list of runs alone")
    if arguments.action == "name" and (arguments.name is None) is not arguments.clear:
        raise CallError("runs name takes a NAME, or --clear")
    with Store(arguments.store) as store:
        match arguments.action:
            case "name":
                print(runs.rename(store, arguments.which, arguments.name))
            case "export":
                print(runs.export(store, arguments.which, arguments.file))
            case "delete":
                print(runs.delete(store, arguments.which, unfinished=arguments.unfinished))
            case _:
                print(runs.as_json(store) if arguments.json else runs.as_text(store))
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "backends": _backends,
    "verify": _verify,
    "mutants": _mutants,
    "sweep": _sweep,
    "duel": _duel,
    "compare": _compare,
    "calibrate": _calibrate,
    "plan": _plan,
    "emulate": _emulate,
    "report": _report,
    "runs": _runs,
}
