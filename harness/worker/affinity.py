"""On which cores a worker's threads may run: what it chose itself stays, what others do to it meanwhile is undone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Affinity:
    """The cores of each thread of a process, where the system tells (Linux); elsewhere nothing is done."""

    def __init__(self, pid: int) -> None:
        self._threads = Path(f"/proc/{pid}/task")
        self._cores: dict[int, set[int]] = {}

    def note(self) -> None:
        """Remember them; to be called when the process has done what it was asked."""
        self._cores = self._now()

    def restore(self) -> None:
        """Give each thread back what it had then; to be called before the process is asked again."""
        if not self._cores:
            return
        now = self._now()
        for thread, cores in self._cores.items():
            if now.get(thread, cores) != cores:
                with suppress(OSError):  # it has ended since
                    os.sched_setaffinity(thread, cores)

    def _now(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        if hasattr(os, "sched_getaffinity"):
            with suppress(OSError):  # the process has ended, or the system has no /proc
                for thread in self._threads.iterdir():
                    with suppress(OSError):  # threads come and go
                        found[int(thread.name)] = os.sched_getaffinity(int(thread.name))
        return found
