"""How a sweep shows itself while it runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from ..records import Cell, Row
from ..streams import discard

LONGEST_REASON = 160
"""Characters of a reason that a line shows; the store and the report have all of it."""


class Progress(Protocol):
    """What wants to know how a long measurement goes on, step by step: cells of a sweep, rounds of a duel."""

    def started(self, steps: int, done: int) -> None:
        """There are that many steps, some of them done before."""

    def doing(self, what: str) -> None:
        """This is going on now."""

    def note(self, what: str) -> None:
        """This is worth knowing before it goes on."""

    def finished(self, what: str) -> None:
        """A step is done, and this is what came out."""


def seconds_in_words(seconds: float) -> str:
    """Three significant digits with a unit that a person can read."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def in_one_line(cell: Cell, rows: Sequence[Row]) -> str:
    """A finished cell: each backend's time, or why it has none."""
    said = []
    for row in rows:
        parts = [row.backend]
        if row.median_s is not None:
            parts.append(seconds_in_words(row.median_s))
        if row.status != "PASSED":
            parts.append(row.status)
        if row.status not in ("PASSED", "UNAVAILABLE", "UNSUPPORTED"):
            parts.append(f"({(row.reason or '')[:LONGEST_REASON]})")
        said.append(" ".join(parts))
    return f"{cell}: {', '.join(said)}"


def say(line: str) -> None:
    """Print on standard error; a sweep whose reader has gone goes on measuring."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        discard(sys.stderr)


class PlainProgress:
    """A line a finished step, for logs and pipes."""

    def __init__(self) -> None:
        self._steps = self._done = 0

    def started(self, steps: int, done: int) -> None:
        """See Progress."""
        self._steps, self._done = steps, done

    def doing(self, what: str) -> None:
        """Said on a terminal only: where nothing can be measured, standard error holds the reason alone."""

    def note(self, what: str) -> None:
        """See Progress."""
        say(what)

    def finished(self, what: str) -> None:
        """See Progress."""
        self._done += 1
        say(f"[{self._done}/{self._steps}] {what}")


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """The display that fits standard error."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    console = Console(stderr=True)
    bar = Bar(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )

    class LiveProgress:
        """A bar with what runs now and the time left, and a line above it for each finished step."""

        def __init__(self) -> None:
            self._task = bar.add_task("", total=None, left="")
            self._begun, self._steps, self._before, self._done = monotonic(), 0, 0, 0

        def started(self, steps: int, done: int) -> None:
            """See Progress."""
            self._begun, self._steps, self._before, self._done = monotonic(), steps, done, done
            bar.update(self._task, total=steps, completed=done)

        def doing(self, what: str) -> None:
            """See Progress."""
            bar.update(self._task, description=what)

        def note(self, what: str) -> None:
            """See Progress."""
            console.print(Text(what))

        def finished(self, what: str) -> None:
            """See Progress."""
            self._done += 1
            each = (monotonic() - self._begun) / (self._done - self._before)
            minutes, seconds = divmod(round(each * (self._steps - self._done)), 60)
            bar.update(self._task, completed=self._done, left=f"{minutes}:{seconds:02} left")
            console.print(Text(what))

    with bar:
        yield LiveProgress()
