"""Text for people: numbers with units, Markdown tables, and messages and progress on standard error.

Imported by the command line before anything else, so only light modules are imported here.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, TextIO

MISSING = "–"
"""Printed for a missing value."""
COMMIT_DIGITS = 10
MIN_TOTAL_TO_LOG = 100
"""Where standard error is no terminal, `progress_bar` logs this many steps or more."""


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or pandas' NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pd.NA is neither true nor false
        return True


def significant(value: float, digits: int = 3) -> str:
    """The number rounded to that many significant digits, never with an exponent: 0.00123, 1.23, 123, 1234."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    return f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}" if abs(rounded) < 1000 else f"{value:.0f}"


def number(value: Any) -> str:
    """A number with three digits; with an exponent where it is very small or large."""
    if is_missing(value):
        return MISSING
    value = float(value)
    return significant(value) if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.2e}"


def duration(seconds: Any) -> str:
    """Seconds with three digits and a unit: "1.23 µs", "45.6 ms", "789 s"; may be negative."""
    if is_missing(seconds):
        return MISSING
    if seconds == 0:
        return "0 s"
    size = abs(float(f"{seconds:.2e}"))  # rounded first, so that 999.9 µs is 1.00 ms
    factor, unit = next((f, u) for f, u in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")) if size * f >= 1 or u == "ns")
    return f"{significant(seconds * factor)} {unit}"


def duration_interval(low: Any, high: Any) -> str:
    """An interval of seconds: "1.21 to 1.25 ms", "998 µs to 1.02 ms"."""
    if is_missing(low) or is_missing(high):
        return MISSING
    first, last = duration(low), duration(high)
    return f"{first.split()[0]} to {last}" if first.split()[1] == last.split()[1] else f"{first} to {last}"


def byte_size(count: Any) -> str:
    """Bytes in binary units: "512 B", "1.50 MiB"."""
    if is_missing(count):
        return MISSING
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count} B" if unit == "B" else f"{significant(value)} {unit}"


def rate(value: float, unit: str) -> str:
    """A rate in decimal units: "197 GFLOP/s", "40.4 GB/s"."""
    factor, prefix = next(
        ((f, p) for f, p in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")) if float(f"{value:.2e}") >= f), (1.0, "")
    )
    return f"{significant(value / factor)} {prefix}{unit}"


def percent(share: Any) -> str:
    """A share with two digits: "34%", "0.12%"."""
    if is_missing(share):
        return MISSING
    return f"{significant(100 * share, 2) if share < 0.995 else f'{100 * share:.0f}'}%"


def relative_change(ratio: float) -> str:
    """A ratio as a signed change: 1.052 is "+5.2%", 12.3 is "12.3 times"."""
    return f"{100 * (ratio - 1):+.1f}%" if ratio < 10 else f"{ratio:.3g} times"


def count_of(count: int, noun: str, plural: str = "s") -> str:
    """The count with its noun: "1 cell", "1,600 cells"."""
    return f"{count:,} {noun}{plural * (count != 1)}"


def timestamp(text: str) -> str:
    """A time in ISO format, as the store has it, to the second: "2026-01-02 03:04:05 UTC"."""
    from datetime import datetime

    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S %Z}"


def describe_machine(fingerprint: Mapping[str, Any]) -> str:
    """The processor, cores and GPUs of a machine's fingerprint."""
    cores = fingerprint.get("cores")
    parts = [fingerprint.get("cpu"), f"{cores} cores" if cores else None, *(fingerprint.get("gpu") or ())]
    return ", ".join(str(part) for part in parts if part)


def describe_commit(fingerprint: Mapping[str, Any]) -> str | None:
    """The git commit of a machine's fingerprint, and whether there were changes; None outside a repository."""
    commit, changes = fingerprint.get("git_commit"), fingerprint.get("git_changes")
    return f"commit {str(commit)[:COMMIT_DIGITS]}{', with uncommitted changes' * bool(changes)}" if commit else None


def escape_markdown(text: Any) -> str:
    """Text that Markdown shows as it is, in a sentence or a table: one line, no markup, no HTML."""
    text = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]{}|#~!$])", r"\\\1", text)
    return re.sub(r"^([-+=]|\d+[.)])(?=\s|$)", lambda m: f"{m[0][:-1]}\\{m[0][-1]}", text)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; what is in its cells is Markdown, see `escape_markdown`."""
    return [f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *rows)]


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def discard(stream: TextIO) -> None:
    """Redirect a stream whose reader has closed it to the null device, with what it still buffers."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print, by default on standard error; the program goes on where the reader has closed the stream."""
    stream = stream or sys.stderr
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):
        discard(stream)


class Progress:
    """What a long measurement reports to, step by step: cells of a sweep, rounds of a duel. This one prints nothing."""

    def started(self, steps: int, done: int) -> None:
        """There are that many steps, of which some were done before."""

    def doing(self, what: str) -> None:
        """This is being done now."""

    def note(self, what: str) -> None:
        """A message, before the next step."""

    def finished(self, what: str) -> None:
        """A step is done, with this result."""


class LoggedProgress(Progress):
    """A line on standard error for each finished step, for logs and pipes."""

    def __init__(self) -> None:
        self._steps = self._done = 0

    def started(self, steps: int, done: int) -> None:
        """See Progress."""
        self._steps, self._done = steps, done

    def note(self, what: str) -> None:
        """See Progress."""
        say(what)

    def finished(self, what: str) -> None:
        """See Progress."""
        self._done += 1
        say(f"[{self._done}/{self._steps}] {what}")


class LiveProgress(Progress):
    """A bar with the current step and the time left, and a line above it for each finished step."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar.add_task("", total=None, left="")
        self._begun, self._steps, self._before, self._done = monotonic(), 0, 0, 0

    def started(self, steps: int, done: int) -> None:
        """See Progress."""
        self._begun, self._steps, self._before, self._done = monotonic(), steps, done, done
        self._bar.update(self._task, total=steps, completed=done)

    def doing(self, what: str) -> None:
        """See Progress."""
        self._bar.update(self._task, description=what)

    def note(self, what: str) -> None:
        """See Progress."""
        self._bar.console.print(what, markup=False, highlight=False)

    def finished(self, what: str) -> None:
        """See Progress."""
        self._done += 1
        each = (monotonic() - self._begun) / (self._done - self._before)
        minutes, seconds = divmod(round(each * (self._steps - self._done)), 60)
        self._bar.update(self._task, completed=self._done, left=f"{minutes}:{seconds:02} left")
        self.note(what)


@contextmanager
def show_progress(*, shown: bool = True) -> Iterator[Progress]:
    """A live display on a terminal, else a log."""
    if not shown:
        yield Progress()
        return
    if not sys.stderr.isatty():
        yield LoggedProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    texts = (TextColumn("{task.fields[left]}"), TextColumn("{task.description}", markup=False))
    with Bar(*columns, *texts, console=Console(stderr=True), transient=True) as bar:
        yield LiveProgress(bar)


@contextmanager
def progress_bar(name: str, total: int, *, shown: bool = True) -> Iterator[Callable[[str], None]]:
    """A progress bar, or a log where standard error is no terminal. A call is one step; its argument names what failed."""
    if not shown:
        yield lambda _: None
        return
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
