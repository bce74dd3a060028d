"""The command line: words in, calls out. Every import that costs time is inside the command that needs it.

Exit codes: 0 all is well; 1 the thing asked about is not well; 2 the call cannot be carried out (one line on standard error
says what and how to mend it); 130 after Ctrl-C, with everything finished so far kept.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import CallError
from .streams import discard

if TYPE_CHECKING:
    from backends import LSTMSpec

    from .sweep.grid import Definition
    from .verify.suite import BackendResult

DEFAULT_STORE = Path("lstm-parity.sqlite")
DEFAULT_REPORT = Path("lstm-parity-report")
DEFAULT_CALIBRATION = Path("lstm-parity-calibration.json")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` says more\n")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            parser.exit(0, f"lstm-parity {version('lstm-parity')}\n")
        except PackageNotFoundError:
            parser.exit(0, "lstm-parity, not installed\n")


def _list_of(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _integers(text: str) -> list[Any]:
    values = []
    for part in _list_of(text):
        try:
            values.append(int(part))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not an integer") from None
    return values


def _input_sizes(text: str) -> list[Any]:
    return ["hidden"] if text == "hidden" else _integers(text)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer above 0")
    return value


def _natural(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 0 or more")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _threshold(text: str) -> float:
    """2% or 0.02."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, such as 2% or 0.02")
    return value


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lstm-parity", description="Do LSTM implementations agree, and how fast are they when they do?", allow_abbrev=False
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    backends = commands.add_parser("backends", help="each backend: can it run here, what does it promise", allow_abbrev=False)
    backends.add_argument("--json", action="store_true", help="as JSON on standard output")
    backends.set_defaults(run=_backends)

    verify = commands.add_parser("verify", help="is a backend right? The property suite decides", allow_abbrev=False)
    verify.add_argument("backends", nargs="*", metavar="BACKEND", help="a registered name, module:Class or file.py:Class")
    verify.add_argument("--examples", type=_positive, metavar="N", help="drawn problems a check (default: 20)")
    verify.add_argument("--seed", type=_natural, metavar="S", help="which problems are drawn (default: other ones each time)")
    verify.add_argument("--only", action="append", metavar="CHECK", help="this check alone; may be repeated")
    verify.add_argument("--list-checks", action="store_true", help="every check and what it claims")
    verify.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long a backend may take to answer (default: 60)"
    )
    verify.add_argument("--threads", type=_positive, metavar="N", help="threads for the backend (default: all cores)")
    verify.add_argument("--weights", metavar="FILE", help="the LSTM of a model file as one more regime of values")
    verify.add_argument("--known-failures", type=Path, metavar="FILE", help='TOML: a table a backend, check = "reason"')
    verify.add_argument("--json", type=Path, metavar="FILE", help="the verdicts for programs")
    verify.add_argument("--store", type=Path, metavar="FILE", help="a store that keeps the verdicts, for the report")
    verify.set_defaults(run=_verify)

    mutants = commands.add_parser(
        "mutants", help="the property suite's own score on backends known to be wrong", allow_abbrev=False
    )
    mutants.add_argument("--json", type=Path, metavar="FILE", help="the score and the kill matrix for programs")
    mutants.add_argument("--store", type=Path, metavar="FILE", help="a store that keeps the score, for the report")
    mutants.set_defaults(run=_mutants)

    sweep = commands.add_parser("sweep", help="measure backends over a grid of problems", allow_abbrev=False)
    sweep.add_argument("sweep", nargs="?", default="smoke", metavar="PRESET|FILE.toml", help="what to measure (default: smoke)")
    sweep.add_argument("--backend", action="append", metavar="B", help="a backend in place of the preset's; may be repeated")
    _add_cells(sweep)
    sweep.add_argument("--weights", metavar="FILE", help="the LSTM of a model file; FILE#name picks one of several")
    sweep.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    sweep.add_argument("--resume", action="store_true", help="go on with the newest run of the same sweep in the store")
    sweep.set_defaults(run=_sweep)

    duel = commands.add_parser(
        "duel", help="is B slower than A? Two backends, or revisions of one, in one run", allow_abbrev=False
    )
    duel.add_argument("old", metavar="A", help="a backend, or BACKEND@REVISION of git")
    duel.add_argument("new", metavar="B", help="what is compared with it")
    duel.add_argument("sweep", nargs="?", default="smoke", metavar="PRESET|FILE.toml", help="on which cells (default: smoke)")
    _add_cells(duel)
    _add_comparison(duel)
    duel.set_defaults(run=_duel, backend=None, weights=None)

    compare = commands.add_parser(
        "compare", help="did anything get slower between two finished runs? Large changes only", allow_abbrev=False
    )
    for name in ("old", "new"):
        compare.add_argument(name, metavar=name.upper(), help="a store (its newest run), STORE#RUN, or a run of --store")
    compare.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    _add_comparison(compare)
    compare.set_defaults(run=_compare)

    calibrate = commands.add_parser(
        "calibrate", help="how often duel and compare are mistaken on this machine; takes some hours", allow_abbrev=False
    )
    calibrate.add_argument("--pairs", type=_positive, default=300, metavar="N", help="of each kind, at least (default: 300)")
    calibrate.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_CALIBRATION,
        metavar="FILE",
        help=f"every pair, and where a call goes on (default: {DEFAULT_CALIBRATION})",
    )
    calibrate.set_defaults(run=_calibrate)

    plan = commands.add_parser(
        "plan", help="how this project's kernels would compute a problem on an architecture, and why", allow_abbrev=False
    )
    _add_problem(plan)
    plan.add_argument("--arch", default="sm_90a", metavar="ARCH", help="sm_80, sm_90a, ... (default: sm_90a)")
    plan.set_defaults(run=_plan)

    emulate = commands.add_parser(
        "emulate", help="run this project's kernels on the CPU with every access checked", allow_abbrev=False
    )
    _add_problem(emulate)
    emulate.add_argument("--ragged", action="store_true", help="sequences of different lengths, 0 and the longest among them")
    emulate.add_argument(
        "--schedules", type=_positive, default=10, metavar="N", help="how many orders of threads (default: 10)"
    )
    emulate.add_argument("--schedule", metavar="KIND", help="of one kind alone, in place of all kinds in turn")
    emulate.add_argument(
        "--seed", type=_natural, default=0, metavar="S", help="of the numbers and of the schedules (default: 0)"
    )
    emulate.add_argument(
        "--kernels", type=Path, metavar="DIR", help="a copy of backends/cupy_raw/kernels, with changes of your own"
    )
    emulate.set_defaults(run=_emulate)

    report = commands.add_parser("report", help="tables, charts and pages from a store", allow_abbrev=False)
    report.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    report.add_argument("--out", type=Path, default=DEFAULT_REPORT, metavar="DIR", help=f"default: {DEFAULT_REPORT}")
    report.add_argument("--baseline", metavar="BACKEND", help="what to compare with (default: the sweep's first backend)")
    report.set_defaults(run=_report)

    _add_runs(commands.add_parser("runs", help="the runs of a store: list, name, export, delete", allow_abbrev=False))
    return parser


def _add_runs(runs: argparse.ArgumentParser) -> None:
    """`runs` alone lists; a word after it does something with one run."""
    runs.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    runs.add_argument("--json", action="store_true", help="the list as JSON on standard output")
    runs.set_defaults(run=_runs, action=None)
    actions = runs.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    which = "an id, the beginning of one, a name, or newest"
    name = actions.add_parser("name", help="give a run a name", allow_abbrev=False)
    name.add_argument("which", metavar="RUN", help=which)
    name.add_argument("name", nargs="?", metavar="NAME", help="what to call it")
    name.add_argument("--clear", action="store_true", help="take its name away")
    export = actions.add_parser("export", help="write a run to a file", allow_abbrev=False)
    export.add_argument("which", metavar="RUN", help=which)
    export.add_argument(
        "file", type=Path, metavar="FILE", help="ends in .sqlite (a store of its own), .csv or .parquet (the rows)"
    )
    delete = actions.add_parser("delete", help="delete runs with all their samples", allow_abbrev=False)
    delete.add_argument("which", nargs="+", metavar="RUN", help=which)
    for action in (name, export, delete):  # after the word too; what was said before it stays
        action.add_argument("--store", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=f"default: {DEFAULT_STORE}")


def _add_cells(parser: argparse.ArgumentParser) -> None:
    """What is measured, in place of what a preset says."""
    for axis in ("sequence-length", "batch-size", "hidden-size", "num-layers"):
        parser.add_argument(f"--{axis}", type=_integers, metavar="N,N..", help=f"in place of the preset's {axis}")
    parser.add_argument("--input-size", type=_input_sizes, metavar="N,N..", help="likewise; 'hidden' follows the hidden size")
    parser.add_argument("--precision", type=_list_of, metavar="P,P..", help="float64, float32, tf32, float16, bfloat16")
    parser.add_argument("--mode", choices=("inference", "training"), help="forward, or forward and backward")
    parser.add_argument("--bidirectional", action="store_true", default=None, help="both directions")
    parser.add_argument("--warm", action="store_true", help="inputs in the cache, not out of it")
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="threads for every backend (default: all cores; a duel leaves one free)"
    )
    parser.add_argument("--budget", type=_seconds, metavar="SECONDS", help="sampling time a cell, in place of the preset's")


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    """How a comparison judges, and where its verdicts go."""
    parser.add_argument(
        "--threshold", type=_threshold, default=0.02, metavar="2%", help="the least change that matters (default: 2%%)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the verdicts for programs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the verdicts for a pull request")


def _add_problem(parser: argparse.ArgumentParser) -> None:
    """One problem, for commands that are about this project's kernels; the defaults are small, for the command `emulate`."""
    for name, value in (("sequence-length", 5), ("batch-size", 9), ("hidden-size", 13), ("num-layers", 1)):
        parser.add_argument(f"--{name}", type=_positive, default=value, metavar="N", help=f"default: {value}")
    parser.add_argument("--input-size", type=_positive, metavar="N", help="default: the hidden size")
    parser.add_argument("--proj-size", type=_natural, default=0, metavar="N", help="default: 0, no projection")
    parser.add_argument("--bidirectional", action="store_true", help="both directions")
    parser.add_argument("--no-bias", action="store_true", help="without biases")
    parser.add_argument("--peephole", action="store_true", help="with peepholes")
    parser.add_argument(
        "--precision", default="float32", metavar="P", help="float64, float32 (default), tf32, float16, bfloat16"
    )
    parser.add_argument("--mode", choices=("inference", "training"), default="training", help="default: training")
    parser.add_argument(
        "--path", choices=("persistent", "stepwise"), help="this plan, in place of the one that would be picked"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line; returns the exit code."""
    given = list(sys.argv[1:] if words is None else words)
    arguments = _build_parser().parse_args(given)
    arguments.words, arguments.is_process = given, words is None
    try:
        code = int(arguments.run(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except CallError as error:
        print(f"lstm-parity {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read standard output has gone
        discard(sys.stdout)
        return 0
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"lstm-parity {arguments.command}: {what}", file=sys.stderr)
        return 2


def _backends(arguments: argparse.Namespace) -> int:
    from .inventory import as_json, as_text, inventory

    found = inventory()
    print(as_json(found) if arguments.json else as_text(found))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from .verify.checks import CHECKS
    from .verify.command import chosen_checks, exit_code, list_checks, options_of, say, verify_all
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
            from .machine import fingerprint
            from .verify.keep import keep_verdicts
            from .verify.words import as_json

            machine = fingerprint()
            if arguments.json is not None:
                arguments.json.write_text(as_json(results, machine, options), encoding="utf-8")
            if arguments.store is not None:
                keep_verdicts(arguments.store, results, machine, options)
    say(f"seed {options.seed} draws the same problems again")
    return exit_code(results)


def _mutants(arguments: argparse.Namespace) -> int:
    from .verify.command import score_mutants

    return score_mutants(arguments.json, arguments.store)


def _definition(arguments: argparse.Namespace) -> tuple[Definition, Any]:
    """The sweep that the words describe, and the weights that they name."""
    from .machine import cpu_count
    from .sweep.grid import AXES, Definition, axis_values, cells_of, file_digests, load_sweep, with_weights

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
        from .weights_file import check_precisions, read_weights

        model = read_weights(arguments.weights)
        spec = model.spec("float32")
        sizes = {name: getattr(spec, name) for name in vars(spec) if name != "precision"}
        cells = with_weights(said, words, sizes, arguments.weights)
        check_precisions(model, {cell.precision for cell in cells})
        weights = model.weights
    backends = tuple(dict.fromkeys(arguments.backend)) if arguments.backend else said.backends
    definition = Definition(
        title=said.title,
        cells=cells,
        backends=backends,
        named=bool(arguments.backend),
        threads=arguments.threads or cpu_count(),
        budget_s=arguments.budget or said.budget_s,
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
            outcome = run_sweep(definition, store, _command(arguments), progress, resume=arguments.resume, weights=weights)
        say(how_it_went(outcome, arguments.store))
    if outcome.interrupted:
        return 130
    return 0 if outcome.well or outcome.nothing_to_do else 1


def _duel(arguments: argparse.Namespace) -> int:
    definition, _ = _definition(arguments)
    from dataclasses import replace

    from .comparison.command import duel
    from .comparison.duel import DUEL_BUDGET_S, duel_threads
    from .sweep.run import refuse_too_large
    from .worker.spawn import interrupted_once

    refuse_too_large(definition.cells)
    if arguments.budget is None:
        definition = replace(definition, budget_s=DUEL_BUDGET_S)
    if arguments.threads is None:
        definition = replace(definition, threads=duel_threads())
    with interrupted_once(to_the_end=arguments.is_process):
        return duel(definition, arguments.old, arguments.new, arguments)


def _compare(arguments: argparse.Namespace) -> int:
    from .comparison.command import compare

    return compare(arguments)


def _calibrate(arguments: argparse.Namespace) -> int:
    from .comparison.calibrate import as_markdown, calibrate, kept
    from .sweep.progress import shown_progress
    from .worker.spawn import interrupted_once

    with interrupted_once(to_the_end=arguments.is_process), shown_progress() as progress:
        records = calibrate(arguments.out, arguments.pairs, progress)
    print(as_markdown(records))
    return 0 if kept(records) else 1


def _command(arguments: argparse.Namespace) -> str:
    """The command line as text that can be kept, whatever bytes its file names are made of."""
    return shlex.join(["lstm-parity", *arguments.words]).encode(errors="backslashreplace").decode()


def _spec(arguments: argparse.Namespace) -> LSTMSpec:
    """The spec that the words of `_add_problem` describe."""
    from backends import LSTMSpec

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
    from .launch_plan import device_named, plan_in_words

    device, training = device_named(arguments.arch), arguments.mode == "training"
    steps, batch = arguments.sequence_length, arguments.batch_size
    print(plan_in_words(_spec(arguments), steps, batch, device, training=training, path=arguments.path))
    return 0


def _emulate(arguments: argparse.Namespace) -> int:
    import numpy as np

    from backends.cupy_raw.source import KERNELS

    from .emulation import Emulated, apart, check_folder, check_room, in_words, schedules
    from .verify.regimes import draw_problem

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
    from reports.build import write_report
    from reports.frame import ReportData, ReportError

    from .store import Store

    with Store(arguments.store) as store:
        frames = store.frames()
    data = ReportData(
        rows=frames.rows,
        samples=frames.samples,
        runs=frames.runs,
        command=_command(arguments),
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
    from . import runs
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
                print(runs.delete(store, arguments.which))
            case _:
                print(runs.as_json(store) if arguments.json else runs.as_text(store))
    return 0
