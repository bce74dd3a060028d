"""The parent's handle of one worker process: start it, ask it with a time limit, stop and resume it, say how it ended."""

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

MAX_QUOTED = 600
"""Characters of a worker's output that a reason quotes."""
MAX_OUTPUT = 2**20
"""Bytes of a worker's output that are kept; a backend may print without end."""
CHECK_S = 0.25
"""Seconds between checks of a worker that has not answered yet."""
KILLS_S = 1.0
"""Seconds between counts of the system's out-of-memory kills; a count takes 0.1 ms."""
ENDING_S = 5.0
"""Seconds that a worker that has closed its pipe may take to end."""


class WorkerError(Exception):
    """A worker did not do what it was asked."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        """Of the result row."""
        self.reason = reason
        """One line."""


_STATUS: dict[str, Status] = {
    "unsupported": "UNSUPPORTED",
    "unavailable": "UNAVAILABLE",
    "not_found": "UNAVAILABLE",
    "out_of_memory": "OUT_OF_MEMORY",
    "crashed": "CRASHED",
    "wrong": "WRONG",
}


class WorkerClient:
    """One worker process for one backend."""

    def __init__(
        self,
        server_class: type[Server],
        backend: str,
        threads: int,
        module_path: tuple[str, ...] = (),
        layout: int | None = None,
    ) -> None:
        """Start it.

        server_class: answers in the worker; importable by its name. module_path: folders in which the worker looks for modules
        first, also for the package `backends`. layout: see server.serve; a random one if None.
        """
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
            while not self._pipe.poll(max(0.0, min(CHECK_S, start + limit_s - monotonic()))):
                self._bound_output()
                # a process that the backend has started may keep the pipe open after the worker has ended
                if not self.alive and not self._pipe.poll():
                    raise EOFError
                if monotonic() - start >= limit_s:
                    break
            answered = self._pipe.poll()
            with self._ended_after(max(ENDING_S, start + limit_s - monotonic()), late):
                answer = read_answer(self._pipe.recv_bytes(), message.answer) if answered else None
        except (EOFError, OSError) as error:
            if late.is_set():
                raise WorkerError("TIMEOUT", f"it began an answer and did not finish it{self._quoted_output()}") from error
            raise self._ended() from error
        except Exception as error:  # an answer of another type, or that cannot be unpickled
            self.kill()
            raise WorkerError("CRASHED", f"unreadable answer: {type(error).__name__}: {error}") from error
        if not answered:
            self.kill()
            what = type(message).__name__.removesuffix("Request").lower()
            raise WorkerError("TIMEOUT", f"no answer to {what!r} within {limit_s:.3g} s{self._quoted_output()}")
        self._bound_output()
        if isinstance(answer, Failure):
            raise WorkerError(_STATUS[answer.kind], answer.reason)  # its output may be of earlier calls
        return answer

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def pause(self) -> None:
        """Stop the worker and the processes that it has started, so that no thread runs during another's sample."""
        self._signal("SIGSTOP")

    def resume(self) -> None:
        """Continue a paused worker."""
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
        """Within, the worker is killed after that time, and `late` is set: half of a message must not block the parent."""

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
        """Count the system's out-of-memory kills; those until a moment at which this worker is alive were others."""
        if now - self._kills_at >= KILLS_S:
            kills, self._kills_at = oom_kills(), now
            self._kills = kills if self.alive else self._kills

    def _ended(self) -> WorkerError:
        """How a worker that has closed its pipe ended."""
        start = monotonic()
        while self.alive and monotonic() - start < ENDING_S:
            sleep(0.01)
        if self.alive:
            self.kill()
            return WorkerError("CRASHED", f"the process closed its pipe and did not end{self._quoted_output()}")
        code = self._process.returncode
        if code >= 0:
            return WorkerError("CRASHED", f"the process exited with code {code}{self._quoted_output()}")
        killed = oom_kills()
        if -code == signal.SIGKILL and killed is not None and self._kills is not None and killed > self._kills:
            return WorkerError("OUT_OF_MEMORY", "killed by the system for want of memory" + self._quoted_output())
        named = {s.value: s.name for s in signal.Signals}.get(-code, f"signal {-code}")
        return WorkerError("CRASHED", f"killed by {named}{self._quoted_output()}")

    def _bound_output(self) -> None:
        """Keep only the end of a long output. The worker appends, so its next output is at the start of the file."""
        if os.fstat(self._output.fileno()).st_size > MAX_OUTPUT:
            self._earlier_output = self._tail()
            self._output.truncate(0)

    def _tail(self) -> bytes:
        self._output.seek(max(0, os.fstat(self._output.fileno()).st_size - 4 * MAX_QUOTED))
        return self._earlier_output + self._output.read(4 * MAX_QUOTED)

    def _quoted_output(self) -> str:
        """The end of the worker's output as one line, to be added to a reason."""
        text = " ".join(self._tail().decode(errors="replace").split())
        return f"; last output: {text[-MAX_QUOTED:]}" if text else ""
