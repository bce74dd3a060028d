"""How a sweep shows itself while it runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from ..store import Row
from ..streams import discard
from .cell import Cell
from .run import Progress

LONGEST_REASON = 160
"""Characters of a reason that a line shows; the store and the report have all of it."""


def seconds_in_words(seconds: float) -> str:
    """Three significant digits with a unit that a person can read."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def in_one_line(cell: Cell, rows: list[Row]) -> str:
    """A finished cell: each backend's time, or why it has none."""
    said = []
    for row in rows:
        if row.median_s is None:
            why = "" if row.status in ("UNAVAILABLE", "UNSUPPORTED") else f" ({(row.reason or '')[:LONGEST_REASON]})"
            said.append(f"{row.backend} {row.status}{why}")
        else:
            mark = "" if row.status == "PASSED" else f" {row.status}"
            said.append(f"{row.backend} {seconds_in_words(row.median_s)}{mark}")
    return f"{cell}: {', '.join(said)}"


def say(line: str) -> None:
    """Print on standard error; a sweep whose reader has gone goes on measuring."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        discard(sys.stderr)


class PlainProgress:
    """A line a finished cell, for logs and pipes."""

    def __init__(self) -> None:
        self._cells = self._done = 0

    def started(self, cells: int, done: int) -> None:
        """See Progress."""
        self._cells, self._done = cells, done

    def doing(self, what: str) -> None:
        """Said on a terminal only: where nothing can be measured, standard error holds the reason alone."""

    def finished_cell(self, cell: Cell, rows: list[Row]) -> None:
        """See Progress."""
        self._done += 1
        say(f"[{self._done}/{self._cells}] {in_one_line(cell, rows)}")


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
        """A bar with what runs now and the time left, and a line above it for each finished cell."""

        def __init__(self) -> None:
            self._task = bar.add_task("", total=None, left="")
            self._begun, self._cells, self._before, self._done = monotonic(), 0, 0, 0

        def started(self, cells: int, done: int) -> None:
            """See Progress."""
            self._begun, self._cells, self._before, self._done = monotonic(), cells, done, done
            bar.update(self._task, total=cells, completed=done)

        def doing(self, what: str) -> None:
            """See Progress."""
            bar.update(self._task, description=what)

        def finished_cell(self, cell: Cell, rows: list[Row]) -> None:
            """See Progress."""
            self._done += 1
            each = (monotonic() - self._begun) / (self._done - self._before)
            minutes, seconds = divmod(round(each * (self._cells - self._done)), 60)
            bar.update(self._task, completed=self._done, left=f"{minutes}:{seconds:02} left")
            console.print(Text(in_one_line(cell, rows)))

    with bar:
        yield LiveProgress()
