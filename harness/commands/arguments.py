"""The words of the command line: every command, its options, and what may stand after each."""

from __future__ import annotations

import argparse
import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

DEFAULT_STORE = Path("lstm-parity.sqlite")
DEFAULT_REPORT = Path("lstm-parity-report")
DEFAULT_CALIBRATION = Path("lstm-parity-calibration.json")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        if message.endswith("expected one argument"):
            message += " (one that begins with - is written --option=-1)"
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` says more\n")


class _Whole(_Parser):
    """The parser of the whole command line, which leaves unknown words to the parser of their command."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See ArgumentParser."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            commands = next(a for a in self._actions if isinstance(a, argparse._SubParsersAction))
            parser = commands.choices[found.command]
            parser.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown[0], parser)}")
        return found


def _meant(word: str, parser: argparse.ArgumentParser) -> str:
    near = get_close_matches(word.partition("=")[0], list(parser._option_string_actions), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


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
    return _integer(text, 1, "an integer above 0")


def _natural(text: str) -> int:
    return _integer(text, 0, "an integer of 0 or more")


def _integer(text: str, least: int, kind: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}")
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


def as_command(arguments: argparse.Namespace) -> str:
    """The command line as text that can be kept, whatever bytes its file names are made of."""
    return shlex.join(["lstm-parity", *arguments.words]).encode(errors="backslashreplace").decode()


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `command` in what it returns is the name of the command."""
    parser = _Whole(
        prog="lstm-parity", description="Do LSTM implementations agree, and how fast are they when they do?", allow_abbrev=False
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    backends = commands.add_parser("backends", help="each backend: can it run here, what does it promise", allow_abbrev=False)
    backends.add_argument("--json", action="store_true", help="as JSON on standard output")

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

    mutants = commands.add_parser(
        "mutants", help="the property suite's own score on backends known to be wrong", allow_abbrev=False
    )
    mutants.add_argument("--json", type=Path, metavar="FILE", help="the score and the kill matrix for programs")
    mutants.add_argument("--store", type=Path, metavar="FILE", help="a store that keeps the score, for the report")

    sweep = commands.add_parser("sweep", help="measure backends over a grid of problems", allow_abbrev=False)
    sweep.add_argument("sweep", nargs="?", default="smoke", metavar="PRESET|FILE.toml", help="what to measure (default: smoke)")
    sweep.add_argument("--backend", action="append", metavar="B", help="a backend in place of the preset's; may be repeated")
    _add_cells(sweep, "all cores")
    sweep.add_argument("--weights", metavar="FILE", help="the LSTM of a model file; FILE#name picks one of several")
    sweep.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    sweep.add_argument("--resume", action="store_true", help="go on with the newest run of the same sweep in the store")

    duel = commands.add_parser(
        "duel", help="is B slower than A? Two backends, or revisions of one, in one run", allow_abbrev=False
    )
    duel.add_argument("old", metavar="A", help="a backend, or BACKEND@REVISION of git")
    duel.add_argument("new", metavar="B", help="what is compared with it")
    duel.add_argument("sweep", nargs="?", default="smoke", metavar="PRESET|FILE.toml", help="on which cells (default: smoke)")
    _add_cells(duel, "one less than there are cores")
    _add_comparison(duel)
    duel.set_defaults(backend=None, weights=None)

    compare = commands.add_parser(
        "compare", help="did anything get slower between two finished runs? Large changes only", allow_abbrev=False
    )
    for name in ("old", "new"):
        compare.add_argument(
            name, metavar=name.upper(), help="a store (its newest finished run), STORE#RUN, or a run of --store"
        )
    compare.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    _add_comparison(compare)

    calibrate = commands.add_parser(
        "calibrate", help="how often duel and compare are mistaken on this machine; takes some hours", allow_abbrev=False
    )
    calibrate.add_argument(
        "--pairs",
        type=_positive,
        default=300,
        metavar="N",
        help="of identical code, at least; a fifth as many slowed ones (default: 300)",
    )
    calibrate.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_CALIBRATION,
        metavar="FILE",
        help=f"every pair, and where a call goes on (default: {DEFAULT_CALIBRATION})",
    )

    plan = commands.add_parser(
        "plan", help="how this project's kernels would compute a problem on an architecture, and why", allow_abbrev=False
    )
    _add_problem(plan)
    plan.add_argument("--arch", default="sm_90a", metavar="ARCH", help="sm_80, sm_90a, ... (default: sm_90a)")

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

    report = commands.add_parser("report", help="tables, charts and pages from a store", allow_abbrev=False)
    report.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    report.add_argument("--out", type=Path, default=DEFAULT_REPORT, metavar="DIR", help=f"default: {DEFAULT_REPORT}")
    report.add_argument("--baseline", metavar="BACKEND", help="what to compare with (default: the sweep's first backend)")

    _add_runs(commands.add_parser("runs", help="the runs of a store: list, name, export, delete", allow_abbrev=False))
    return parser


def _add_runs(runs: argparse.ArgumentParser) -> None:
    """`runs` alone lists; a word after it does something with one run."""
    runs.add_argument("--store", type=Path, default=DEFAULT_STORE, metavar="FILE", help=f"default: {DEFAULT_STORE}")
    runs.add_argument("--json", action="store_true", help="the list as JSON on standard output")
    runs.set_defaults(action=None)
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
    delete.add_argument("--unfinished", action="store_true", help="even one that is not finished: a sweep may be at work on it")
    for action in (name, export, delete):  # after the word too; what was said before it stays
        action.add_argument("--store", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=f"default: {DEFAULT_STORE}")


def _add_cells(parser: argparse.ArgumentParser, threads: str) -> None:
    """What is measured, in place of what a preset says. threads: how many there are where nothing is said."""
    for axis in ("sequence-length", "batch-size", "hidden-size", "num-layers"):
        parser.add_argument(f"--{axis}", type=_integers, metavar="N,N..", help=f"in place of the preset's {axis}")
    parser.add_argument("--input-size", type=_input_sizes, metavar="N,N..", help="likewise; 'hidden' follows the hidden size")
    parser.add_argument("--precision", type=_list_of, metavar="P,P..", help="float64, float32, tf32, float16, bfloat16")
    parser.add_argument("--mode", choices=("inference", "training"), help="forward, or forward and backward")
    parser.add_argument("--bidirectional", action="store_true", default=None, help="both directions")
    parser.add_argument("--warm", action="store_true", help="inputs in the cache, not out of it")
    parser.add_argument("--threads", type=_positive, metavar="N", help=f"threads for every backend (default: {threads})")
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
