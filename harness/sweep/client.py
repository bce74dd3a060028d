"""The parent's handle of one worker process: start it, ask it with a time limit, hold it still, tell how it ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from ..machine import oom_kills, process_seconds, thread_environment
from . import worker
from .messages import Failure

LAST_WORDS = 600
"""Characters of a worker's output that a reason may quote."""


class WorkerError(Exception):
    """A worker did not do what it was asked. status: the result row's; reason: one line."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


_STATUS = {
    "unsupported": "UNSUPPORTED",
    "unavailable": "UNAVAILABLE",
    "not_found": "UNAVAILABLE",
    "out_of_memory": "OUT_OF_MEMORY",
    "crashed": "CRASHED",
    "wrong": "WRONG",
}


class WorkerClient:
    """One worker process for one backend. Never forked: a child must not inherit the parent's threads and libraries."""

    def __init__(self, backend: str, threads: int) -> None:
        self.backend = backend
        handle, output = tempfile.mkstemp(prefix="lstm-parity-worker-")
        os.close(handle)
        self._output = Path(output)
        self._kills = oom_kills()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=worker.main, args=(theirs, backend, output), daemon=True)
        with thread_environment(threads):
            self._process.start()
        theirs.close()

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the worker has used."""
        return process_seconds(self._process.pid or 0)

    def ask(self, message: Any, limit_s: float) -> Any:
        """The answer to a message. Raises WorkerError for a Failure, a crash, or no answer within limit_s (then killed)."""
        start = monotonic()
        try:
            self._pipe.send(message)
            if not self._pipe.poll(limit_s):
                self.kill()
                what = type(message).__name__.lower()
                raise WorkerError("TIMEOUT", f"no answer to {what!r} within {monotonic() - start:.0f} s{self._last_words()}")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        except Exception as error:  # an answer that cannot be unpickled
            self.kill()
            raise WorkerError("CRASHED", f"unreadable answer: {type(error).__name__}: {error}") from error
        if isinstance(answer, Failure):
            words = self._last_words() if answer.kind == "crashed" else ""
            raise WorkerError(_STATUS[answer.kind], answer.reason + words)
        return answer

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.is_alive()

    def pause(self) -> None:
        """Hold all of the worker's threads still, so that none spins beside another backend's sample."""
        self._signal("SIGSTOP")

    def resume(self) -> None:
        """Let a paused worker go on."""
        self._signal("SIGCONT")

    def _signal(self, name: str) -> None:
        number = getattr(signal, name, None)  # Windows has neither
        if number is not None and self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End the worker now."""
        self._process.kill()
        self._process.join(10)

    def close(self) -> None:
        """End the worker and remove what it left."""
        self._pipe.close()
        self.resume()
        self._process.join(1)
        if self._process.is_alive():
            self.kill()
        self._output.unlink(missing_ok=True)

    def _ended(self) -> WorkerError:
        self._process.join(10)
        code = self._process.exitcode
        if code is not None and code < 0:
            killed = oom_kills()
            if -code == signal.SIGKILL and killed is not None and self._kills is not None and killed > self._kills:
                return WorkerError("OUT_OF_MEMORY", "killed by the system for want of memory" + self._last_words())
            return WorkerError("CRASHED", f"killed by {signal.Signals(-code).name}{self._last_words()}")
        return WorkerError("CRASHED", f"the process exited with code {code}{self._last_words()}")

    def _last_words(self) -> str:
        """The end of what the worker printed, as one line."""
        try:
            with self._output.open("rb") as file:
                file.seek(max(0, self._output.stat().st_size - 4 * LAST_WORDS))
                words = " ".join(file.read().decode(errors="replace").split())
        except OSError:
            return ""
        return f"; its last words: {words[-LAST_WORDS:]}" if words else ""


@contextmanager
def worker_client(backend: str, threads: int) -> Iterator[WorkerClient]:
    """A worker that is closed at the end."""
    client = WorkerClient(backend, threads)
    try:
        yield client
    finally:
        client.close()
