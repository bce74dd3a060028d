"""The parent's handle of one worker process: start it, ask it with a time limit, hold it still, tell how it ended."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from ..machine.host import oom_kills, process_seconds
from ..records import Status
from .messages import Answer, Failure, read_answer
from .server import LAYOUTS, Server, serve
from .spawn import end, spawn

LAST_WORDS = 600
"""Characters of a worker's output that a reason may quote."""
LARGEST_OUTPUT = 2**20
"""Bytes of a worker's output that are kept; a backend may print without end."""
LOOK_S = 0.25
"""How often a worker that has not answered yet is looked after."""
KILLS_S = 1.0
"""How often the system's kills for want of memory are counted anew: that takes 0.1 ms."""
ENDING_S = 5.0
"""How long a worker that has closed its pipe may take to end."""


class WorkerError(Exception):
    """A worker did not do what it was asked. status: the result row's; reason: one line."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


_STATUS: dict[str, Status] = {
    "unsupported": "UNSUPPORTED",
    "unavailable": "UNAVAILABLE",
    "not_found": "UNAVAILABLE",
    "out_of_memory": "OUT_OF_MEMORY",
    "crashed": "CRASHED",
    "wrong": "WRONG",
}


class WorkerClient:
    """One worker process for one backend. server_class: what answers in it; it must be importable there by its name.

    module_path: where the worker looks for modules first, the package `backends` among them: the folder of another revision.
    layout: of server.LAYOUTS, where in a page its arrays begin; any of them where nothing is said.
    """

    def __init__(
        self,
        server_class: type[Server],
        backend: str,
        threads: int,
        module_path: tuple[str, ...] = (),
        layout: int | None = None,
    ) -> None:
        self.backend = backend
        handle, path = tempfile.mkstemp(prefix="lstm-parity-worker-")
        self._output, self._path = os.fdopen(handle, "r+b", buffering=0), Path(path)
        self._earlier_output = b""
        self._kills, self._kills_at = oom_kills(), monotonic()
        appended = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            layout = secrets.randbelow(LAYOUTS) if layout is None else layout
            arguments = (server_class, backend, module_path, layout)
            self._process, self._pipe = spawn(serve, threads, *arguments, output=appended)
        except BaseException:
            self._output.close()
            raise
        finally:
            os.close(appended)
            with suppress(OSError):  # Windows keeps the name of an open file
                self._path.unlink()

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the worker has used, and the processes that it has started."""
        return process_seconds(self._process.pid)

    def ask(self, message: Any, limit_s: float) -> Answer:
        """The answer to a message. Raises WorkerError for a Failure, a crash, or no answer within limit_s (then killed)."""
        start, late = monotonic(), threading.Event()
        self._count_kills(start)
        try:
            self._pipe.send(message)
            while not self._pipe.poll(max(0.0, min(LOOK_S, start + limit_s - monotonic()))):
                self._bound_output()
                # A child of the backend's may hold the pipe open after the worker has gone.
                if not self.alive and not self._pipe.poll():
                    raise EOFError
                if monotonic() - start >= limit_s:
                    break
            answered = self._pipe.poll()
            with self._ended_after(max(ENDING_S, start + limit_s - monotonic()), late):
                answer = read_answer(self._pipe.recv_bytes(), message.answer) if answered else None
        except (EOFError, OSError) as error:
            if late.is_set():
                raise WorkerError("TIMEOUT", f"it began an answer, and did not end it{self._last_words()}") from error
            raise self._ended() from error
        except Exception as error:  # an answer that is not to be unpickled, or cannot be
            self.kill()
            raise WorkerError("CRASHED", f"unreadable answer: {type(error).__name__}: {error}") from error
        if not answered:
            self.kill()
            what = type(message).__name__.removesuffix("Request").lower()
            raise WorkerError("TIMEOUT", f"no answer to {what!r} within {limit_s:.3g} s{self._last_words()}")
        self._bound_output()
        if isinstance(answer, Failure):
            raise WorkerError(_STATUS[answer.kind], answer.reason)  # what was printed may be of earlier calls
        return answer

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def pause(self) -> None:
        """Hold all threads of the worker and of its processes still, so that none spins beside another backend's sample."""
        self._signal("SIGSTOP")

    def resume(self) -> None:
        """Let a paused worker go on."""
        self._signal("SIGCONT")

    def _signal(self, name: str) -> None:
        number = getattr(signal, name, None)  # Windows has neither
        if number is not None and self.alive:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._process.pid, number)  # the processes that it has started, too

    def kill(self) -> None:
        """End the worker now, and the processes that it has started."""
        end(self._process)
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the worker and remove what it left."""
        self._pipe.close()
        self.kill()
        self._output.close()
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _ended_after(self, seconds: float, late: threading.Event) -> Iterator[None]:
        """Within, the worker is ended when the time is up, and `late` is set: its half of a message must hold nobody up."""

        def end() -> None:
            late.set()
            self._process.kill()
            self._signal("SIGKILL")

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _count_kills(self, now: float) -> None:
        """Those so far were of other processes, if this one is alive after they were counted."""
        if now - self._kills_at >= KILLS_S:
            kills, self._kills_at = oom_kills(), now
            self._kills = kills if self.alive else self._kills

    def _ended(self) -> WorkerError:
        """How a worker ended that has closed its pipe."""
        start = monotonic()
        while self.alive and monotonic() - start < ENDING_S:
            sleep(0.01)
        if self.alive:
            self.kill()
            return WorkerError("CRASHED", f"the process closed its pipe and went on{self._last_words()}")
        code = self._process.returncode
        if code >= 0:
            return WorkerError("CRASHED", f"the process exited with code {code}{self._last_words()}")
        killed = oom_kills()
        if -code == signal.SIGKILL and killed is not None and self._kills is not None and killed > self._kills:
            return WorkerError("OUT_OF_MEMORY", "killed by the system for want of memory" + self._last_words())
        named = {s.value: s.name for s in signal.Signals}.get(-code, f"signal {-code}")
        return WorkerError("CRASHED", f"killed by {named}{self._last_words()}")

    def _bound_output(self) -> None:
        """Drop what the worker printed but the end, when it is a lot; it appends, so it goes on at the start."""
        if os.fstat(self._output.fileno()).st_size > LARGEST_OUTPUT:
            self._earlier_output = self._tail()
            self._output.truncate(0)

    def _tail(self) -> bytes:
        self._output.seek(max(0, os.fstat(self._output.fileno()).st_size - 4 * LAST_WORDS))
        return self._earlier_output + self._output.read(4 * LAST_WORDS)

    def _last_words(self) -> str:
        """The end of what the worker printed, as one line."""
        words = " ".join(self._tail().decode(errors="replace").split())
        return f"; its last words: {words[-LAST_WORDS:]}" if words else ""
