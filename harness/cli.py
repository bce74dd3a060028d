"""Entry point: parses arguments and runs a sub-command.

A sub-command is a module of `harness.commands` with two functions: `add_options(parser)` and `run(arguments)`, which returns
the exit code. Only the module of the sub-command that is called is imported, so `lstm-parity --help` imports none of them.

Exit codes: 0 success; 1 a check failed or a row is bad; 2 the call cannot be carried out (one line on standard error says what
failed and how to fix it); 130 after Ctrl-C, with everything that was finished kept.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from .commands.parser import Parser
from .errors import CallError

TYPE_CHECKING = False  # see lstm_parity/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

COMMANDS = {
    "backends": "each backend: can it run here, what does it promise",
    "verify": "is a backend right? The property suite decides",
    "mutants": "the property suite's own score on backends known to be wrong",
    "sweep": "measure backends over a grid of problems",
    "duel": "is B slower than A? Two backends, or revisions of one, in one run",
    "compare": "did anything get slower between two finished runs? Large changes only",
    "calibrate": "how often duel and compare are mistaken on this machine; takes some hours",
    "plan": "how this project's kernels would compute a problem on an architecture, and why",
    "emulate": "run this project's kernels on the CPU with every access checked",
    "report": "tables, charts and pages from a store",
    "runs": "the runs of a store: list, name, export, delete",
}
"""Sub-commands with their help lines; each is the module of that name in `harness.commands`."""

CORE = ("numpy", "pandas", "scipy", "hypothesis", "ml_dtypes", "pyarrow", "rich")
"""The core dependencies, which may be missing in a checkout that is not installed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of this process); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = build_parser().parse_args(words)
    arguments.argv, arguments.is_process = words, argv is None
    interrupts = _noted_interrupts() if argv is None else []
    try:
        code: int = arguments.run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except Exception as error:
        if interrupts:  # libraries turn a KeyboardInterrupt in their import into an ImportError
            return _interrupted(arguments)
        if (code_of := _expected(arguments, error)) is None:
            raise
        return code_of


def _noted_interrupts() -> list[int]:
    """A list that gets an entry at each Ctrl-C from now on, which still raises KeyboardInterrupt."""
    from signal import SIGINT, default_int_handler, getsignal, signal

    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        default_int_handler(number, frame)

    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, note)
    return noted


def _interrupted(arguments: argparse.Namespace) -> int:
    from .text import say

    say(f"lstm-parity {arguments.command}: interrupted")
    return 130


def _expected(arguments: argparse.Namespace, error: Exception) -> int | None:
    """The exit code of an error that is said in one line; None for any other."""
    if isinstance(error, CallError):
        return _refuse(arguments, str(error))
    if isinstance(error, BrokenPipeError):  # the reader of standard output has closed it
        from .text import discard

        discard(sys.stdout)
        return 0
    if isinstance(error, ModuleNotFoundError) and (missing := (error.name or "").partition(".")[0]) in CORE:
        return _refuse(arguments, f"the package {missing} is not installed; pip install {missing}")
    if isinstance(error, OSError):
        return _refuse(arguments, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return None


def _refuse(arguments: argparse.Namespace, reason: str) -> int:
    print(f"lstm-parity {arguments.command}: {reason}", file=sys.stderr)
    return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `command` in its result is the sub-command's name, `run` its function."""
    parser = Parser(prog="lstm-parity", description="Do LSTM implementations agree, and how fast are they when they do?")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_CommandParser)
    for name, line in COMMANDS.items():
        commands.add_parser(name, help=line)
    return parser


class _CommandParser(Parser):
    """The parser of one sub-command; imports the sub-command's module when it is first used."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See ArgumentParser; unknown arguments are an error here, so that the message names the sub-command."""
        if self.get_default("run") is None:
            module = import_module(f".commands.{self.prog.rpartition(' ')[2]}", __package__)
            module.add_options(self)
            self.set_defaults(run=module.run)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._suggestion(unknown[0])}")
        return found, unknown

    def _suggestion(self, word: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(word.partition("=")[0], list(self._option_string_actions), n=1)
        return f" (did you mean {near[0]}?)" if near else ""


class _Version(argparse.Action):
    """Prints the version of the installed distribution."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            parser.exit(0, f"lstm-parity {version('lstm-parity')}\n")
        except PackageNotFoundError:
            parser.exit(0, "lstm-parity, not installed\n")
